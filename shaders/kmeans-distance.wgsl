// Squared distance of every point to its centroid, from the differences: exact where ‖c‖² − 2 x·c has cancelled.
//
//   distance[i] = Σ_k (x[i,k] − c[a,k])²,  a = nearest[i], which becomes assignment[i]
//
// With KEEP the assignment of the pass before stays wherever it is strictly closer than `nearest`, so that rounding
// in the search (f16 above all) can never raise the objective.
//
// Shapes:   x is points × 4·vectors, centroids clusters × 4·vectors; nearest, assignment and distance are points.
// Bindings: 0 params, 1 x, 2 centroids, 3 nearest, 4 assignment, 5 distance.
// Dispatch: ceil(points / (WORKGROUP / LANES)) workgroups, folded into x × y.
//
//   workgroup  | point 0: lane 0 … LANES − 1 | point 1: … |  …  | point WORKGROUP / LANES − 1 |
//   lane         vectors lane, lane + LANES, …, four sums each, added as (x + y) + (z + w)
//   point        its first lane adds the LANES partial sums in order
//
// Source:   this project's: the search may rank by scores that have cancelled, the objective may not add them.

const WORKGROUP: u32 = 64;
const LANES: u32 = 8;
const KEEP: bool = false;
const POINTS: u32 = WORKGROUP / LANES;

struct Params {
  points: u32,
  vectors: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> centroids: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> nearest: array<u32>;
@group(0) @binding(4) var<storage, read_write> assignment: array<u32>;
@group(0) @binding(5) var<storage, read_write> distance: array<f32>;

var<workgroup> partial: array<f32, WORKGROUP>;
var<workgroup> partial_before: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let point = (group.x + group.y * groups.x) * POINTS + lane / LANES;
  // Invocations past the end repeat the last point, so that barriers stay uniform.
  let row = min(point, params.points - 1u);
  let found = nearest[row];
  var before = found;
  if (KEEP) { before = assignment[row]; }
  var sum = vec4<f32>();
  var sum_before = vec4<f32>();
  for (var k = lane % LANES; k < params.vectors; k += LANES) {
    let value = x[row * params.vectors + k];
    let difference = value - centroids[found * params.vectors + k];
    sum = fma(difference, difference, sum);
    if (KEEP) {
      let old = value - centroids[before * params.vectors + k];
      sum_before = fma(old, old, sum_before);
    }
  }
  partial[lane] = (sum.x + sum.y) + (sum.z + sum.w);
  if (KEEP) {
    partial_before[lane] = (sum_before.x + sum_before.y) + (sum_before.z + sum_before.w);
  }
  workgroupBarrier();
  if (lane % LANES == 0u && point < params.points) {
    var total = 0.0;
    var total_before = 0.0;
    for (var i = 0u; i < LANES; i++) {
      total += partial[lane + i];
      if (KEEP) { total_before += partial_before[lane + i]; }
    }
    if (KEEP && total_before < total) {
      distance[point] = total_before;
    } else {
      assignment[point] = found;
      distance[point] = total;
    }
  }
}
