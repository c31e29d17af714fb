// k-means++ seeding without leaving the GPU: each next centroid is a point drawn with probability proportional to its
// squared distance to the centroids so far.
//
//   choose   draws the next point by walking down ordered sums of `closest` and copies it to the centroids;
//            while all sums are zero, every point is as likely
//   measure  closest[i] = min(closest[i], Σ_k (x[i,k] − x[chosen,k])²), and the sum of each run of RUN points
//
// State:    seed[0] is how many centroids there are, seed[1] the point chosen last; draws[j] is uniform in [0, 1).
// Shapes:   x is points × 4·vectors; closest is points, 3e38 before the first measure; run_sums is ⌈points / RUN⌉,
//           zeros before it; centroids is clusters × 4·vectors; draws and chosen are clusters.
// Bindings: 0 params, 1 x, 2 draws, 3 seed, 4 closest, 5 run_sums, 6 centroids, 7 chosen (measure: 0, 1, 3, 4, 5).
// Dispatch: choose: 1; measure: ⌈points / RUN⌉, folded into x × y.
//
//   choose   run_sums   | share of lane 0 | share of lane 1 | … |     lane 0 adds the shares in order and finds the one
//                                 ▼ the share with the drawn value    that the draw falls into; it is shared out again,
//                       | lane 0 | lane 1 | … |                       down to one run, then within closest to one point
//   measure  a run      | point 0: lane 0 … LANES − 1 | point 1: … |  WORKGROUP / LANES points at a time; a lane has
//                                                                     vectors lane, lane + LANES, …; a point's first
//                                                                     lane adds its LANES sums in order
//
// Source:   Arthur & Vassilvitskii, "k-means++: The Advantages of Careful Seeding" (2007).

const WORKGROUP: u32 = 64;
const LANES: u32 = 8;
const RUN: u32 = 256;

struct Params {
  points: u32,
  vectors: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> draws: array<f32>;
@group(0) @binding(3) var<storage, read_write> seed: array<u32>;
@group(0) @binding(4) var<storage, read_write> closest: array<f32>;
@group(0) @binding(5) var<storage, read_write> run_sums: array<f32>;
@group(0) @binding(6) var<storage, read_write> centroids: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> chosen: array<u32>;

var<workgroup> lanes: array<f32, WORKGROUP>;
var<workgroup> shared_first: u32;
var<workgroup> shared_end: u32;
var<workgroup> shared_draw: f32;

fn value(runs: bool, i: u32) -> f32 {
  if (runs) { return run_sums[i]; }
  return closest[i];
}

// Narrows [shared_first, shared_end) to the one value in which the drawn part of the sum falls.
// shared_draw enters as the part of the whole and leaves as the part of that value. False when all are zero.
fn narrow(runs: bool, lane: u32) -> bool {
  loop {
    let first = workgroupUniformLoad(&shared_first);
    let end = workgroupUniformLoad(&shared_end);
    let share = (end - first + WORKGROUP - 1u) / WORKGROUP;
    var sum = 0.0;
    for (var i = first + lane * share; i < min(first + (lane + 1u) * share, end); i++) { sum += value(runs, i); }
    lanes[lane] = sum;
    workgroupBarrier();
    if (lane == 0u) {
      var total = 0.0;
      for (var i = 0u; i < WORKGROUP; i++) { total += lanes[i]; }
      var rest = shared_draw * total;
      // Shares of zero are never taken; rounding past the end falls back on the last share that is not zero.
      var taken = WORKGROUP;
      for (var i = 0u; i < WORKGROUP; i++) {
        if (lanes[i] > 0.0) {
          taken = i;
          if (rest < lanes[i]) { break; }
          rest -= lanes[i];
        }
      }
      if (taken == WORKGROUP) {
        shared_end = shared_first;
      } else {
        shared_draw = clamp(rest / lanes[taken], 0.0, 1.0);
        shared_first = first + taken * share;
        shared_end = min(first + (taken + 1u) * share, end);
      }
    }
    let left = workgroupUniformLoad(&shared_end) - workgroupUniformLoad(&shared_first);
    if (left == 0u) { return false; }
    if (left == 1u) { return true; }
  }
}

@compute @workgroup_size(WORKGROUP)
fn choose(@builtin(local_invocation_index) lane: u32) {
  if (lane == 0u) {
    shared_first = 0u;
    shared_end = (params.points + RUN - 1u) / RUN;
    shared_draw = draws[seed[0]];
  }
  let drawn = workgroupUniformLoad(&shared_draw);
  // Every point is a centroid already (or none is yet): all are as good, so the draw is uniform.
  var point = min(u32(drawn * f32(params.points)), params.points - 1u);
  if (workgroupUniformLoad(&shared_end) > 0u && narrow(true, lane)) {
    if (lane == 0u) {
      let run = shared_first;
      shared_first = run * RUN;
      shared_end = min((run + 1u) * RUN, params.points);
    }
    if (narrow(false, lane)) { point = workgroupUniformLoad(&shared_first); }
  }
  let next = seed[0];
  for (var k = lane; k < params.vectors; k += WORKGROUP) {
    centroids[next * params.vectors + k] = x[point * params.vectors + k];
  }
  workgroupBarrier();
  storageBarrier();
  if (lane == 0u) {
    chosen[next] = point;
    seed[0] = next + 1u;
    seed[1] = point;
  }
}

@compute @workgroup_size(WORKGROUP)
fn measure(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
  let run = group.x + group.y * groups.x;
  let first = run * RUN;
  if (first >= params.points) { return; }
  let centre = seed[1] * params.vectors;
  var run_sum = 0.0;
  for (var begin = first; begin < min(first + RUN, params.points); begin += WORKGROUP / LANES) {
    let point = begin + lane / LANES;
    let row = min(point, params.points - 1u);
    var sum = vec4<f32>();
    for (var k = lane % LANES; k < params.vectors; k += LANES) {
      let difference = x[row * params.vectors + k] - x[centre + k];
      sum = fma(difference, difference, sum);
    }
    lanes[lane] = (sum.x + sum.y) + (sum.z + sum.w);
    workgroupBarrier();
    if (lane % LANES == 0u && point < params.points) {
      var total = 0.0;
      for (var i = 0u; i < LANES; i++) { total += lanes[lane + i]; }
      let kept = min(closest[point], total);
      closest[point] = kept;
      run_sum += kept;
    }
    workgroupBarrier();
  }
  lanes[lane] = run_sum;
  workgroupBarrier();
  if (lane == 0u) {
    var total = 0.0;
    for (var i = 0u; i < WORKGROUP / LANES; i++) { total += lanes[i * LANES]; }
    run_sums[run] = total;
  }
}
