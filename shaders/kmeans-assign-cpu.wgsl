// Nearest centroid of every point, shaped for CPU drivers: argmin_j ‖c_j‖² − 2 x·c_j, with no N×K matrix.
//
// Shapes:   x is points × 4·vectors; panel is groups of 8 centroids, [group, k, lane] vectors of 4 dimensions
//           (kmeans-prepare.wgsl `panels`); norms is ‖c‖², 3e38 for padding; nearest is points. panel and norms are
//           padded to `blocks` blocks of GROUPS · LANES centroids.
// Bindings: 0 params, 1 x, 2 panel, 3 norms, 4 nearest.
// Dispatch: ceil(points / POINTS) workgroups, folded into x × y.
//
// A workgroup is one subgroup. All lanes share the points: one load spreads 4 dimensions of 8 points over the lanes, a
// shuffle with a constant lane hands each to all (three times as fast as loading them everywhere, on llvmpipe with
// LLVM 15). The centroids of a lane are lane + 8t, so those of a group are contiguous:
//
//                lane 0            lane 1            …  lane 7
//   block b     | c0, c8, …       | c1, c9, …       |  | c7, c15, …      |    GROUPS centroids a lane
//   POINTS      | POINTS × GROUPS dot products, then the POINTS lowest   |    all in registers; the minimum runs on
//   points      | scores so far with their centroids                     |    from block to block
//   at the end    workgroup memory [POINTS, LANES]: lane l settles points l, l + LANES, …, lanes in order
//
// The dot product runs over the dimensions in ascending order by fma, so every tile shape gives the same bits.
// Ties go to the lowest centroid.
// Source:   FlashAssign of flash-kmeans (arXiv 2603.09229), with centroids across SIMD lanes.
enable subgroups;

// A multiple of LANES.
const POINTS: u32 = 16;
const GROUPS: u32 = 4;
// The subgroup size.
const LANES: u32 = 8;

struct Params {
  points: u32,
  clusters: u32,
  vectors: u32,
  blocks: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> panel: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> norms: array<f32>;
@group(0) @binding(4) var<storage, read_write> nearest: array<u32>;

var<workgroup> lane_score: array<f32, POINTS * LANES>;
var<workgroup> lane_cluster: array<u32, POINTS * LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let first = (group.x + group.y * groups.x) * POINTS;
  if (first >= params.points) { return; }
  var start: array<u32, POINTS / LANES>;
  for (var i = 0u; i < POINTS / LANES; i++) {
    start[i] = min(first + i * LANES + lane, params.points - 1u) * params.vectors;
  }
  var best: array<f32, POINTS>;
  var cluster: array<u32, POINTS>;
  for (var i = 0u; i < POINTS; i++) { best[i] = 3.4e38; }
  for (var block = 0u; block < params.blocks; block++) {
    // Set explicitly: through Dawn 0.6.2 a bare declaration in a loop keeps the sums of the turn before.
    var dot = array<array<f32, GROUPS>, POINTS>();
    for (var k = 0u; k < params.vectors; k++) {
      var spread: array<vec4<f32>, POINTS / LANES>;
      for (var i = 0u; i < POINTS / LANES; i++) { spread[i] = x[start[i] + k]; }
      var points: array<vec4<f32>, POINTS>;
      for (var i = 0u; i < POINTS; i++) { points[i] = subgroupShuffle(spread[i / LANES], i % LANES); }
      for (var t = 0u; t < GROUPS; t++) {
        let c = panel[((block * GROUPS + t) * params.vectors + k) * LANES + lane];
        for (var i = 0u; i < POINTS; i++) { dot[i][t] = fma(points[i].x, c.x, dot[i][t]); }
        for (var i = 0u; i < POINTS; i++) { dot[i][t] = fma(points[i].y, c.y, dot[i][t]); }
        for (var i = 0u; i < POINTS; i++) { dot[i][t] = fma(points[i].z, c.z, dot[i][t]); }
        for (var i = 0u; i < POINTS; i++) { dot[i][t] = fma(points[i].w, c.w, dot[i][t]); }
      }
    }
    for (var t = 0u; t < GROUPS; t++) {
      let j = (block * GROUPS + t) * LANES + lane;
      let norm = norms[j];
      for (var i = 0u; i < POINTS; i++) {
        let score = fma(-2.0, dot[i][t], norm);
        let closer = score < best[i];
        best[i] = select(best[i], score, closer);
        cluster[i] = select(cluster[i], j, closer);
      }
    }
  }
  for (var i = 0u; i < POINTS; i++) {
    lane_score[i * LANES + lane] = best[i];
    lane_cluster[i * LANES + lane] = cluster[i];
  }
  workgroupBarrier();
  for (var i = lane; i < POINTS && first + i < params.points; i += LANES) {
    var score = lane_score[i * LANES];
    var winner = lane_cluster[i * LANES];
    for (var other = 1u; other < LANES; other++) {
      let s = lane_score[i * LANES + other];
      let j = lane_cluster[i * LANES + other];
      if (s < score || (s == score && j < winner)) {
        score = s;
        winner = j;
      }
    }
    nearest[first + i] = winner;
  }
}
