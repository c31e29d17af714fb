// Nearest centroid of every point, register-tiled for GPUs: argmin_j ‖c_j‖² − 2 x·c_j, with no N×K matrix.
//
// Shapes:   x is points × 4·vectors; centroids is clusters × 4·vectors; norms is ‖c‖²; nearest is points.
// Bindings: 0 params, 1 x, 2 centroids, 3 norms, 4 nearest.
// Dispatch: ceil(points / (16·4·ROWS)) workgroups of 16 × 16 invocations, folded into x × y.
//
//                        16·COLUMNS vectors of 4 centroids, `blocks` times
//   16·ROWS vectors      +-------+-------+ .. +--------+-------+
//   of 4 points        0 | (0,0) | (1,0) |    | (15,0) | (0,0) | ..  (local.x, local.y) of the invocation that
//                      1 | (0,1) |                                   holds the 4 × 4 dot products: ROWS × COLUMNS such,
//                     16 | (0,0) | ..                                and the running minimum of its 4·ROWS points
//
// 4·DEPTH dimensions at a time: 4 × 4 corners of both operands are transposed on their way into workgroup memory, so
// that reads there are vectors of 4 points or 4 centroids at one dimension. The 16 invocations of a row meet after the
// last block in a tree, 8 to 8, 4 to 4, 2 to 2, 1 to 1.
// The dot product runs over the dimensions in ascending order by fma, so every tile shape gives the same bits.
// Ties go to the lowest centroid.
// Source:   FlashAssign of flash-kmeans (arXiv 2603.09229), on a classic register-tiled matmul (matmul.wgsl).

// Vectors of 4 points and of 4 centroids per invocation.
const ROWS: u32 = 2;
const COLUMNS: u32 = 2;
// Vectors of 4 dimensions staged at once.
const DEPTH: u32 = 4;

const SIDE: u32 = 16;
const WORKGROUP: u32 = SIDE * SIDE;
const ROW_VECTORS: u32 = SIDE * ROWS;
const COLUMN_VECTORS: u32 = SIDE * COLUMNS;
const ROW_STAGE: u32 = DEPTH * 4 * ROW_VECTORS;
const COLUMN_STAGE: u32 = DEPTH * 4 * COLUMN_VECTORS;
// The meeting needs a pair per point and half of a row: scores, then clusters as exact f32 (below 2²⁴).
const MEETING: u32 = ROW_VECTORS * SIDE / 2;
const STAGE: u32 = max(ROW_STAGE + COLUMN_STAGE, 2 * MEETING);

struct Params {
  points: u32,
  clusters: u32,
  vectors: u32,
  blocks: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> centroids: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> norms: array<f32>;
@group(0) @binding(4) var<storage, read_write> nearest: array<u32>;

var<workgroup> stage: array<vec4<f32>, STAGE>;

fn point(row: u32, k: u32) -> vec4<f32> {
  if (row >= params.points || k >= params.vectors) { return vec4<f32>(); }
  return x[row * params.vectors + k];
}

fn centroid(row: u32, k: u32) -> vec4<f32> {
  if (row >= params.clusters || k >= params.vectors) { return vec4<f32>(); }
  return centroids[row * params.vectors + k];
}

// Writes four rows at four dimensions as four vectors of the rows, one per dimension.
fn put(at: u32, width: u32, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) {
  stage[at] = vec4<f32>(a.x, b.x, c.x, d.x);
  stage[at + width] = vec4<f32>(a.y, b.y, c.y, d.y);
  stage[at + 2u * width] = vec4<f32>(a.z, b.z, c.z, d.z);
  stage[at + 3u * width] = vec4<f32>(a.w, b.w, c.w, d.w);
}

@compute @workgroup_size(SIDE, SIDE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = (group.x + group.y * groups.x) * ROW_VECTORS * 4u;
  // The same for the whole workgroup, so leaving here keeps barriers uniform.
  if (first >= params.points) { return; }
  var best: array<vec4<f32>, ROWS>;
  var cluster: array<vec4<f32>, ROWS>;
  for (var r = 0u; r < ROWS; r++) { best[r] = vec4<f32>(3.4e38); }

  for (var block = 0u; block < params.blocks; block++) {
    let first_cluster = block * COLUMN_VECTORS * 4u;
    // dot[r][4c + q]: four points against centroid q of vector c.
    // Set explicitly: through Dawn 0.6.2 a bare declaration in a loop keeps the sums of the turn before.
    var dot = array<array<vec4<f32>, 4 * COLUMNS>, ROWS>();
    for (var k0 = 0u; k0 < params.vectors; k0 += DEPTH) {
      for (var i = lane; i < DEPTH * ROW_VECTORS; i += WORKGROUP) {
        let k = i % DEPTH;
        let row = i / DEPTH;
        let begin = first + row * 4u;
        put(k * 4u * ROW_VECTORS + row, ROW_VECTORS, point(begin, k0 + k), point(begin + 1u, k0 + k),
            point(begin + 2u, k0 + k), point(begin + 3u, k0 + k));
      }
      for (var i = lane; i < DEPTH * COLUMN_VECTORS; i += WORKGROUP) {
        let k = i % DEPTH;
        let row = i / DEPTH;
        let begin = first_cluster + row * 4u;
        put(ROW_STAGE + k * 4u * COLUMN_VECTORS + row, COLUMN_VECTORS, centroid(begin, k0 + k),
            centroid(begin + 1u, k0 + k), centroid(begin + 2u, k0 + k), centroid(begin + 3u, k0 + k));
      }
      workgroupBarrier();
      for (var k = 0u; k < DEPTH * 4u; k++) {
        var points: array<vec4<f32>, ROWS>;
        for (var r = 0u; r < ROWS; r++) { points[r] = stage[k * ROW_VECTORS + r * SIDE + local.y]; }
        for (var c = 0u; c < COLUMNS; c++) {
          let four = stage[ROW_STAGE + k * COLUMN_VECTORS + c * SIDE + local.x];
          for (var r = 0u; r < ROWS; r++) {
            dot[r][4u * c] = fma(points[r], vec4<f32>(four.x), dot[r][4u * c]);
            dot[r][4u * c + 1u] = fma(points[r], vec4<f32>(four.y), dot[r][4u * c + 1u]);
            dot[r][4u * c + 2u] = fma(points[r], vec4<f32>(four.z), dot[r][4u * c + 2u]);
            dot[r][4u * c + 3u] = fma(points[r], vec4<f32>(four.w), dot[r][4u * c + 3u]);
          }
        }
      }
      workgroupBarrier();
    }
    for (var c = 0u; c < COLUMNS; c++) {
      for (var q = 0u; q < 4u; q++) {
        let j = first_cluster + (c * SIDE + local.x) * 4u + q;
        var norm = 3e38;
        if (j < params.clusters) { norm = norms[j]; }
        for (var r = 0u; r < ROWS; r++) {
          let score = fma(vec4<f32>(-2.0), dot[r][4u * c + q], vec4<f32>(norm));
          let closer = score < best[r];
          best[r] = select(best[r], score, closer);
          cluster[r] = select(cluster[r], vec4<f32>(f32(j)), closer);
        }
      }
    }
  }

  // A tree over the 16 invocations that share a point; the upper half hands over to the lower.
  for (var half = SIDE / 2u; half > 0u; half /= 2u) {
    if (local.x >= half && local.x < 2u * half) {
      for (var r = 0u; r < ROWS; r++) {
        let at = (r * SIDE + local.y) * half + local.x - half;
        stage[at] = best[r];
        stage[MEETING + at] = cluster[r];
      }
    }
    workgroupBarrier();
    if (local.x < half) {
      for (var r = 0u; r < ROWS; r++) {
        let at = (r * SIDE + local.y) * half + local.x;
        let score = stage[at];
        let other = stage[MEETING + at];
        let closer = (score < best[r]) | ((score == best[r]) & (other < cluster[r]));
        best[r] = select(best[r], score, closer);
        cluster[r] = select(cluster[r], other, closer);
      }
    }
    workgroupBarrier();
  }
  if (local.x == 0u) {
    for (var r = 0u; r < ROWS; r++) {
      for (var q = 0u; q < 4u; q++) {
        let row = first + (r * SIDE + local.y) * 4u + q;
        if (row < params.points) { nearest[row] = u32(cluster[r][q]); }
      }
    }
  }
}
