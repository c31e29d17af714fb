// Nearest centroid of every point on tensor cores: argmin_j ‖c_j‖² − 2 x·c_j, f16 operands and f32 sums,
// with no N×K matrix.
//
// Shapes:   x is points × stride and centroids clusters × stride, both f16 and padded with zeros to whole tiles and
//           to a stride that is a multiple of DEPTH; norms is ‖c‖² of the rounded centroids, 3e38 for padding; nearest
//           is points.
// Bindings: 0 params, 1 x, 2 centroids, 3 norms, 4 nearest.
// Dispatch: ceil(points / BLOCK_M) workgroups, folded into x × y.
//
//                      BLOCK_N = SPLIT_N·TILES_N·MMA_N centroids, `blocks` times
//                     +--------------+--------------+
//   BLOCK_M =         | subgroup 0   | subgroup 1   |    A subgroup holds TILES_M × TILES_N matrices of sums. DEPTH
//   SPLIT_M·TILES_M   | (SPLIT_N = 2)|              |    dimensions of points and centroids at a time are staged in
//   ·MMA_M points     +--------------+--------------+    workgroup memory, rows padded by 8 halves against bank
//                     | subgroup 2   | subgroup 3   |    conflicts.
//                     +--------------+--------------+
//
// After a block each matrix of sums passes through a small scratch of its subgroup, where LANES_PER_ROW lanes share a
// point and keep its running minimum in registers. The lanes of a point meet after the last block.
// Ties go to the lowest centroid.
// Source:   FlashAssign of flash-kmeans (arXiv 2603.09229); the scratch is this project's, because matrices
//           of sums cannot be read element by element.
enable f16;
enable chromium_experimental_subgroup_matrix;

const MMA_M: u32 = 16;
const MMA_N: u32 = 16;
const MMA_K: u32 = 16;
// The adapter's subgroup size; a multiple of MMA_M or equal to it.
const SUBGROUP: u32 = 32;
const SPLIT_M: u32 = 2;
const SPLIT_N: u32 = 2;
const TILES_M: u32 = 2;
const TILES_N: u32 = 2;
const DEPTH: u32 = 32;

const BLOCK_M: u32 = SPLIT_M * TILES_M * MMA_M;
const BLOCK_N: u32 = SPLIT_N * TILES_N * MMA_N;
const WORKGROUP: u32 = SUBGROUP * SPLIT_M * SPLIT_N;
const ROW: u32 = DEPTH + 8;
const LANES_PER_ROW: u32 = SUBGROUP / MMA_M;
const LANE_COLUMNS: u32 = MMA_N / LANES_PER_ROW;
const TILE: u32 = MMA_M * MMA_N;
// Lanes of all subgroups that share a point.
const SHARERS: u32 = SPLIT_N * LANES_PER_ROW;

alias Left = subgroup_matrix_left<f16, MMA_K, MMA_M>;
alias Right = subgroup_matrix_right<f16, MMA_N, MMA_K>;
alias Result = subgroup_matrix_result<f32, MMA_N, MMA_M>;

struct Params {
  points: u32,
  clusters: u32,
  stride: u32,
  blocks: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> centroids: array<vec4<f16>>;
@group(0) @binding(3) var<storage, read> norms: array<f32>;
@group(0) @binding(4) var<storage, read_write> nearest: array<u32>;

var<workgroup> point_stage: array<vec4<f16>, BLOCK_M * ROW / 4>;
var<workgroup> centroid_stage: array<vec4<f16>, BLOCK_N * ROW / 4>;
var<workgroup> scratch: array<f32, TILE * SPLIT_M * SPLIT_N>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32, @builtin(subgroup_id) subgroup: u32,
        @builtin(subgroup_invocation_id) lane: u32) {
  let first = (group.x + group.y * groups.x) * BLOCK_M;
  if (first >= params.points) { return; }
  let part_m = subgroup / SPLIT_N;
  let part_n = subgroup % SPLIT_N;
  let row = lane / LANES_PER_ROW;
  let column = lane % LANES_PER_ROW * LANE_COLUMNS;
  let vectors = params.stride / 4u;
  var best: array<f32, TILES_M>;
  var cluster: array<u32, TILES_M>;
  for (var m = 0u; m < TILES_M; m++) { best[m] = 3.4e38; }

  for (var block = 0u; block < params.blocks; block++) {
    // Set explicitly: through Dawn 0.6.2 a bare declaration in a loop keeps the sums of the turn before.
    var dot = array<array<Result, TILES_N>, TILES_M>();
    for (var k0 = 0u; k0 < vectors; k0 += DEPTH / 4u) {
      for (var i = invocation; i < BLOCK_M * (DEPTH / 4u); i += WORKGROUP) {
        let r = i / (DEPTH / 4u);
        let k = i % (DEPTH / 4u);
        point_stage[r * (ROW / 4u) + k] = x[(first + r) * vectors + k0 + k];
      }
      for (var i = invocation; i < BLOCK_N * (DEPTH / 4u); i += WORKGROUP) {
        let r = i / (DEPTH / 4u);
        let k = i % (DEPTH / 4u);
        centroid_stage[r * (ROW / 4u) + k] = centroids[(block * BLOCK_N + r) * vectors + k0 + k];
      }
      workgroupBarrier();
      for (var k = 0u; k < DEPTH; k += MMA_K) {
        var right: array<Right, TILES_N>;
        for (var n = 0u; n < TILES_N; n++) {
          let at = (part_n * TILES_N + n) * MMA_N * ROW + k;
          right[n] = subgroupMatrixLoad<Right, col_major>(&centroid_stage, at / 4u, ROW / 4u);
        }
        for (var m = 0u; m < TILES_M; m++) {
          let at = (part_m * TILES_M + m) * MMA_M * ROW + k;
          let left = subgroupMatrixLoad<Left, row_major>(&point_stage, at / 4u, ROW / 4u);
          for (var n = 0u; n < TILES_N; n++) {
            dot[m][n] = subgroupMatrixMultiplyAccumulate(left, right[n], dot[m][n]);
          }
        }
      }
      workgroupBarrier();
    }
    for (var m = 0u; m < TILES_M; m++) {
      for (var n = 0u; n < TILES_N; n++) {
        subgroupMatrixStore<row_major>(&scratch, subgroup * TILE, dot[m][n], MMA_N);
        workgroupBarrier();
        let first_cluster = block * BLOCK_N + (part_n * TILES_N + n) * MMA_N + column;
        for (var c = 0u; c < LANE_COLUMNS; c++) {
          let j = first_cluster + c;
          let score = fma(-2.0, scratch[subgroup * TILE + row * MMA_N + column + c], norms[j]);
          let closer = score < best[m];
          best[m] = select(best[m], score, closer);
          cluster[m] = select(cluster[m], j, closer);
        }
        workgroupBarrier();
      }
    }
  }

  // One row of matrices at a time, the sharers of each point meet through the scratch: scores, then clusters.
  for (var m = 0u; m < TILES_M; m++) {
    let sharer = part_n * LANES_PER_ROW + lane % LANES_PER_ROW;
    let pair = (part_m * MMA_M + row) * SHARERS + sharer;
    scratch[pair] = best[m];
    scratch[SPLIT_M * MMA_M * SHARERS + pair] = f32(cluster[m]);
    workgroupBarrier();
    for (var p = invocation; p < SPLIT_M * MMA_M; p += WORKGROUP) {
      var score = scratch[p * SHARERS];
      var winner = scratch[SPLIT_M * MMA_M * SHARERS + p * SHARERS];
      for (var s = 1u; s < SHARERS; s++) {
        let other = scratch[p * SHARERS + s];
        let j = scratch[SPLIT_M * MMA_M * SHARERS + p * SHARERS + s];
        if (other < score || (other == score && j < winner)) {
          score = other;
          winner = j;
        }
      }
      let at = first + (p / MMA_M * TILES_M + m) * MMA_M + p % MMA_M;
      if (at < params.points) { nearest[at] = u32(winner); }
    }
    workgroupBarrier();
  }
}
