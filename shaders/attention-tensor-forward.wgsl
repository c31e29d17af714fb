// Causal attention, forward, on subgroup matrices (tensor cores): f16 operands, f32 accumulation.
//
//   S = scale * Q K^T,  query i sees keys 0 .. query_start + i      P = softmax(S)      O = P V
//   lse[i] = log(sum_j exp(S[i, j])), kept for the backward pass.
//
// Shapes:   q, o [batch, query_tokens, heads, HEAD_DIM], k, v [batch, key_tokens, kv_heads, HEAD_DIM], each a window into a
//           buffer given by a batch stride, a row stride and an offset in scalars, so q, k, v may share one packed buffer;
//           lse [batch, heads, query_tokens] f32. Grouped queries: head h reads key/value head h / (heads / kv_heads).
// Bindings: 0 params, 1 q, 2 k, 3 v, 4 o, 5 lse (o and lse are written).
// Dispatch: (ceil(query_tokens / (TILE * SUBGROUPS)), heads, batch)
//
//   Each subgroup owns TILE query rows. A result matrix allows no access to its rows, so the output could not be rescaled as the
//   running maximum grows. Hence two passes over the keys: the first finds each row's maximum and sum, the second accumulates:
//
//                   KEY_BLOCK = 32 keys
//   subgroup 0 |  S = Q K^T  (matrices)  | -> workgroup memory -> P = exp(S - max), f16 -> | O += P V (matrices) |
//   subgroup 1 |                         |                                                 |                     |
//
//   Ragged edges and head dimensions that are no multiple of TILE are staged as zeros, so matrices are always whole.
//
// Needs:    features shader-f16, subgroups, chromium-experimental-subgroup-matrix with a TILE x TILE x TILE f16 -> f32
//           configuration, and subgroups of SUBGROUP_SIZE. No subgroup arithmetic: some NVIDIA drivers crash when one module has both.
//           Workgroup memory at HEAD_DIM 128: 40 KiB with 4 subgroups; 15 KiB with SUBGROUPS = 1 and PADDING = 0.
// Numerics: SUBGROUPS and PADDING may be tuned and change no bit.
// Source:   Dao, "FlashAttention-2" (arXiv 2307.08691); two passes in place of the online softmax are our own.

enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;

alias Real = f16;
// Where HEAD_DIM and all strides and offsets are multiples of 4: Element = vec4<Real> and VECTOR = true, for 8-byte loads.
alias Element = Real;
const VECTOR: bool = false;
alias Vector = vec4<Real>;

const HEAD_DIM: u32 = 64;
const CAUSAL: bool = true;
const TILE: u32 = 16;
const SUBGROUP_SIZE: u32 = 32;
const SUBGROUPS: u32 = 4;
// scalars added to each staged row against bank conflicts
const PADDING: u32 = 8;

const KEY_BLOCK = 32u;
const KEY_TILES = KEY_BLOCK / TILE;
const QUERY_BLOCK = TILE * SUBGROUPS;
const THREADS = SUBGROUP_SIZE * SUBGROUPS;
const DIM_TILES = (HEAD_DIM + TILE - 1u) / TILE;
const DIM_STRIDE = DIM_TILES * TILE + PADDING;
const DIM4 = DIM_TILES * TILE / 4u;
const SCORE_STRIDE = KEY_BLOCK + PADDING / 2u;
const WEIGHT_STRIDE = KEY_BLOCK + PADDING;
// invocations that share a row of scores, and the scores of each
const LANES = SUBGROUP_SIZE / TILE;
const LANE_KEYS = KEY_BLOCK / LANES;
const MASKED = -1e30;
const LOG2_E = 1.4426950408889634;
const LN_2 = 0.6931471805599453;

alias Left = subgroup_matrix_left<f16, TILE, TILE>;
alias Right = subgroup_matrix_right<f16, TILE, TILE>;
alias Result = subgroup_matrix_result<f32, TILE, TILE>;

struct Params {
  batch: u32,
  heads: u32,
  kv_heads: u32,
  query_tokens: u32,
  key_tokens: u32,
  query_start: u32,
  scale: f32,
  q_batch_stride: u32,
  q_row_stride: u32,
  q_offset: u32,
  k_batch_stride: u32,
  k_row_stride: u32,
  k_offset: u32,
  v_batch_stride: u32,
  v_row_stride: u32,
  v_offset: u32,
  o_batch_stride: u32,
  o_row_stride: u32,
  o_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Element>;
@group(0) @binding(2) var<storage, read> k: array<Element>;
@group(0) @binding(3) var<storage, read> v: array<Element>;
@group(0) @binding(4) var<storage, read_write> o: array<Real>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;

var<workgroup> query_tile: array<f16, QUERY_BLOCK * DIM_STRIDE>;
// keys, later values
var<workgroup> key_tile: array<f16, KEY_BLOCK * DIM_STRIDE>;
var<workgroup> scores: array<f32, QUERY_BLOCK * SCORE_STRIDE>;
var<workgroup> weights: array<f16, QUERY_BLOCK * WEIGHT_STRIDE>;

// Four consecutive scalars of a row, of which the first is number d of its head; zeros beyond the head's last.
fn load_q(at: u32, d: u32) -> vec4f {
  if (VECTOR) {
    return vec4f(Vector(q[at / 4u]));
  }
  let last = HEAD_DIM - 1u - d;
  let x = Vector(Vector(q[at]).x, Vector(q[at + min(1u, last)]).x, Vector(q[at + min(2u, last)]).x, Vector(q[at + min(3u, last)]).x);
  return select(vec4f(), vec4f(x), vec4u(0u, 1u, 2u, 3u) <= vec4u(last));
}

fn load_k(at: u32, d: u32) -> vec4f {
  if (VECTOR) {
    return vec4f(Vector(k[at / 4u]));
  }
  let last = HEAD_DIM - 1u - d;
  let x = Vector(Vector(k[at]).x, Vector(k[at + min(1u, last)]).x, Vector(k[at + min(2u, last)]).x, Vector(k[at + min(3u, last)]).x);
  return select(vec4f(), vec4f(x), vec4u(0u, 1u, 2u, 3u) <= vec4u(last));
}

fn load_v(at: u32, d: u32) -> vec4f {
  if (VECTOR) {
    return vec4f(Vector(v[at / 4u]));
  }
  let last = HEAD_DIM - 1u - d;
  let x = Vector(Vector(v[at]).x, Vector(v[at + min(1u, last)]).x, Vector(v[at + min(2u, last)]).x, Vector(v[at + min(3u, last)]).x);
  return select(vec4f(), vec4f(x), vec4u(0u, 1u, 2u, 3u) <= vec4u(last));
}

// Stages keys, then leaves this subgroup's scores in workgroup memory.
fn compute_scores(k_base: u32, key_base: u32, thread: u32, subgroup: u32) {
  workgroupBarrier();
  for (var i = thread; i < KEY_BLOCK * DIM4; i += THREADS) {
    let key = key_base + i / DIM4;
    let d = i % DIM4 * 4u;
    var x = vec4f();
    if (key < params.key_tokens && d < HEAD_DIM) {
      x = load_k(k_base + key * params.k_row_stride + d, d);
    }
    for (var e = 0u; e < 4u; e++) {
      key_tile[i / DIM4 * DIM_STRIDE + d + e] = f16(x[e]);
    }
  }
  workgroupBarrier();
  for (var n = 0u; n < KEY_TILES; n++) {
    var s = Result();
    for (var c = 0u; c < DIM_TILES; c++) {
      let a = subgroupMatrixLoad<Left, row_major>(&query_tile, subgroup * TILE * DIM_STRIDE + c * TILE, DIM_STRIDE);
      let b = subgroupMatrixLoad<Right, col_major>(&key_tile, n * TILE * DIM_STRIDE + c * TILE, DIM_STRIDE);
      s = subgroupMatrixMultiplyAccumulate(a, b, s);
    }
    subgroupMatrixStore<row_major>(&scores, subgroup * TILE * SCORE_STRIDE + n * TILE, s, SCORE_STRIDE);
  }
  workgroupBarrier();
}

@compute @workgroup_size(THREADS)
fn forward(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  // the last query block has the most keys: start it first
  let query_base = (workgroups.x - 1u - workgroup.x) * QUERY_BLOCK;
  let head = workgroup.y;
  let kv_head = head / (params.heads / params.kv_heads);
  let q_base = params.q_offset + workgroup.z * params.q_batch_stride + head * HEAD_DIM;
  let k_base = params.k_offset + workgroup.z * params.k_batch_stride + kv_head * HEAD_DIM;
  let v_base = params.v_offset + workgroup.z * params.v_batch_stride + kv_head * HEAD_DIM;
  let scale = params.scale * LOG2_E;
  let row = thread / LANES;
  let column = thread % LANES * LANE_KEYS;

  for (var i = thread; i < QUERY_BLOCK * DIM4; i += THREADS) {
    let query = query_base + i / DIM4;
    let d = i % DIM4 * 4u;
    var x = vec4f();
    if (query < params.query_tokens && d < HEAD_DIM) {
      x = load_q(q_base + query * params.q_row_stride + d, d);
    }
    for (var e = 0u; e < 4u; e++) {
      query_tile[i / DIM4 * DIM_STRIDE + d + e] = f16(x[e]);
    }
  }
  var key_end = params.key_tokens;
  var visible = params.key_tokens;
  if (CAUSAL) {
    key_end = min(key_end, params.query_start + min(query_base + QUERY_BLOCK, params.query_tokens));
    visible = min(visible, params.query_start + query_base + row + 1u);
  }

  // first pass: each invocation's share of its row's maximum and sum
  var lane_max = MASKED;
  var lane_sum = 0.0;
  for (var key_base = 0u; key_base < key_end; key_base += KEY_BLOCK) {
    compute_scores(k_base, key_base, thread, subgroup);
    var block_max = lane_max;
    for (var j = column; j < column + LANE_KEYS; j++) {
      if (key_base + j < visible) {
        block_max = max(block_max, scores[row * SCORE_STRIDE + j] * scale);
      }
    }
    lane_sum *= exp2(lane_max - block_max);
    lane_max = block_max;
    for (var j = column; j < column + LANE_KEYS; j++) {
      if (key_base + j < visible) {
        lane_sum += exp2(scores[row * SCORE_STRIDE + j] * scale - lane_max);
      }
    }
  }
  workgroupBarrier();
  scores[row * SCORE_STRIDE + thread % LANES * 2u] = lane_max;
  scores[row * SCORE_STRIDE + thread % LANES * 2u + 1u] = lane_sum;
  workgroupBarrier();
  var row_max = MASKED;
  for (var t = 0u; t < LANES; t++) {
    row_max = max(row_max, scores[row * SCORE_STRIDE + t * 2u]);
  }
  var row_sum = 0.0;
  for (var t = 0u; t < LANES; t++) {
    row_sum += scores[row * SCORE_STRIDE + t * 2u + 1u] * exp2(scores[row * SCORE_STRIDE + t * 2u] - row_max);
  }

  // second pass: the weights and the output
  var acc: array<Result, DIM_TILES>;
  for (var key_base = 0u; key_base < key_end; key_base += KEY_BLOCK) {
    compute_scores(k_base, key_base, thread, subgroup);
    for (var j = column; j < column + LANE_KEYS; j++) {
      var p = 0.0;
      if (key_base + j < visible) {
        p = exp2(min(scores[row * SCORE_STRIDE + j] * scale - row_max, 0.0));
      }
      weights[row * WEIGHT_STRIDE + j] = f16(p);
    }
    for (var i = thread; i < KEY_BLOCK * DIM4; i += THREADS) {
      let key = key_base + i / DIM4;
      let d = i % DIM4 * 4u;
      var x = vec4f();
      if (key < params.key_tokens && d < HEAD_DIM) {
        x = load_v(v_base + key * params.v_row_stride + d, d);
      }
      for (var e = 0u; e < 4u; e++) {
        key_tile[i / DIM4 * DIM_STRIDE + d + e] = f16(x[e]);
      }
    }
    workgroupBarrier();
    for (var n = 0u; n < KEY_TILES; n++) {
      let a = subgroupMatrixLoad<Left, row_major>(&weights, subgroup * TILE * WEIGHT_STRIDE + n * TILE, WEIGHT_STRIDE);
      for (var c = 0u; c < DIM_TILES; c++) {
        let b = subgroupMatrixLoad<Right, row_major>(&key_tile, n * TILE * DIM_STRIDE + c * TILE, DIM_STRIDE);
        acc[c] = subgroupMatrixMultiplyAccumulate(a, b, acc[c]);
      }
    }
  }

  // through workgroup memory, where a row can be divided by its sum
  let query = query_base + row;
  let at = params.o_offset + workgroup.z * params.o_batch_stride + query * params.o_row_stride + head * HEAD_DIM;
  for (var c = 0u; c < DIM_TILES; c++) {
    workgroupBarrier();
    subgroupMatrixStore<row_major>(&scores, subgroup * TILE * SCORE_STRIDE, acc[c], SCORE_STRIDE);
    workgroupBarrier();
    for (var j = thread % LANES; j < TILE; j += LANES) {
      let d = c * TILE + j;
      if (query < params.query_tokens && d < HEAD_DIM) {
        o[at + d] = Real(scores[row * SCORE_STRIDE + j] / row_sum);
      }
    }
  }
  if (query < params.query_tokens && thread % LANES == 0u) {
    lse[(workgroup.z * params.heads + head) * params.query_tokens + query] = (row_max + log2(row_sum)) * LN_2;
  }
}
