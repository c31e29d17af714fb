// Causal attention, backward, gradients of keys and values, on subgroup matrices (tensor cores).
//
//   P = exp(scale * Q K^T - lse)      dV = P^T dO      dP = dO V^T      dS = P * (dP - delta)      dK = scale * dS^T Q
//
// Shapes:   q, d_o [batch, query_tokens, heads, HEAD_DIM], k, v [batch, key_tokens, kv_heads, HEAD_DIM], and in d_kv two windows
//           shaped like k and v (batch stride, row stride, offset in scalars); lse, delta [batch, heads, query_tokens] f32.
//           dK and dV share one buffer: packed gradients need it, and two writable bindings may not overlap.
// Bindings: 0 params, 1 q, 2 k, 3 v, 4 d_o, 5 lse, 6 delta, 7 d_kv (written).
// Dispatch: (ceil(key_tokens / (TILE * SUBGROUPS)), kv_heads, batch)
//
//   Each subgroup owns TILE key rows and keeps their dK and dV in result matrices; all subgroups walk over the same query blocks:
//
//                   COLUMN_BLOCK queries
//   subgroup 0 |  S^T = K Q^T, dP^T = V dO^T   | -> workgroup memory -> P^T, dS^T, f16 -> | dV += P^T dO, dK += dS^T Q |
//   subgroup 1 |                               |                                          |        (matrices)          |
//
// Needs:    features shader-f16, subgroups, chromium-experimental-subgroup-matrix with a TILE x TILE x TILE f16 -> f32
//           configuration, and subgroups of SUBGROUP_SIZE. No subgroup arithmetic: some NVIDIA drivers crash when one module has both.
// Numerics: products accumulate in f32; P and dS pass through f16, so small gradients want loss scaling. SUBGROUPS and PADDING
//           may be tuned and change no bit.
// Source:   Dao, "FlashAttention-2" (arXiv 2307.08691), algorithm 2, without its dQ.

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

const COLUMN_BLOCK = 16u;
const COLUMN_TILES = COLUMN_BLOCK / TILE;
const ROW_BLOCK = TILE * SUBGROUPS;
const THREADS = SUBGROUP_SIZE * SUBGROUPS;
const DIM_TILES = (HEAD_DIM + TILE - 1u) / TILE;
const DIM_STRIDE = DIM_TILES * TILE + PADDING;
const DIM4 = DIM_TILES * TILE / 4u;
const SCORE_STRIDE = COLUMN_BLOCK + PADDING / 2u;
const WEIGHT_STRIDE = COLUMN_BLOCK + PADDING;
// invocations that share a row of scores, and the scores of each
const LANES = SUBGROUP_SIZE / TILE;
const LANE_COLUMNS = COLUMN_BLOCK / LANES;
const LOG2_E = 1.4426950408889634;

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
  do_batch_stride: u32,
  do_row_stride: u32,
  do_offset: u32,
  dk_batch_stride: u32,
  dk_row_stride: u32,
  dk_offset: u32,
  dv_batch_stride: u32,
  dv_row_stride: u32,
  dv_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Element>;
@group(0) @binding(2) var<storage, read> k: array<Element>;
@group(0) @binding(3) var<storage, read> v: array<Element>;
@group(0) @binding(4) var<storage, read> d_o: array<Element>;
@group(0) @binding(5) var<storage, read> lse: array<f32>;
@group(0) @binding(6) var<storage, read> delta: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_kv: array<Real>;

var<workgroup> row_tile: array<f16, ROW_BLOCK * DIM_STRIDE>;
var<workgroup> column_tile: array<f16, COLUMN_BLOCK * DIM_STRIDE>;
var<workgroup> scores: array<f32, ROW_BLOCK * SCORE_STRIDE>;
var<workgroup> weights: array<f16, ROW_BLOCK * WEIGHT_STRIDE>;

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

fn load_do(at: u32, d: u32) -> vec4f {
  if (VECTOR) {
    return vec4f(Vector(d_o[at / 4u]));
  }
  let last = HEAD_DIM - 1u - d;
  let x = Vector(Vector(d_o[at]).x, Vector(d_o[at + min(1u, last)]).x, Vector(d_o[at + min(2u, last)]).x, Vector(d_o[at + min(3u, last)]).x);
  return select(vec4f(), vec4f(x), vec4u(0u, 1u, 2u, 3u) <= vec4u(last));
}

// Leaves rows times columns, both over the head dimension, in scores.
fn multiply(subgroup: u32) {
  workgroupBarrier();
  for (var n = 0u; n < COLUMN_TILES; n++) {
    var s = Result();
    for (var c = 0u; c < DIM_TILES; c++) {
      let a = subgroupMatrixLoad<Left, row_major>(&row_tile, subgroup * TILE * DIM_STRIDE + c * TILE, DIM_STRIDE);
      let b = subgroupMatrixLoad<Right, col_major>(&column_tile, n * TILE * DIM_STRIDE + c * TILE, DIM_STRIDE);
      s = subgroupMatrixMultiplyAccumulate(a, b, s);
    }
    subgroupMatrixStore<row_major>(&scores, subgroup * TILE * SCORE_STRIDE + n * TILE, s, SCORE_STRIDE);
  }
  workgroupBarrier();
}

@compute @workgroup_size(THREADS)
fn backward_key_value(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let key_base = workgroup.x * ROW_BLOCK;
  let kv_head = workgroup.y;
  let group = params.heads / params.kv_heads;
  let k_base = params.k_offset + workgroup.z * params.k_batch_stride + kv_head * HEAD_DIM;
  let v_base = params.v_offset + workgroup.z * params.v_batch_stride + kv_head * HEAD_DIM;
  let scale = params.scale * LOG2_E;
  let row = thread / LANES;
  let column = thread % LANES * LANE_COLUMNS;
  let key = key_base + row;
  // blocks start at multiples of COLUMN_BLOCK so that sums keep their order whatever SUBGROUPS is
  var query_first = 0u;
  if (CAUSAL && key_base > params.query_start) {
    query_first = (key_base - params.query_start) / COLUMN_BLOCK * COLUMN_BLOCK;
  }

  var acc_k: array<Result, DIM_TILES>;
  var acc_v: array<Result, DIM_TILES>;
  for (var head = kv_head * group; head < (kv_head + 1u) * group; head++) {
    let q_base = params.q_offset + workgroup.z * params.q_batch_stride + head * HEAD_DIM;
    let do_base = params.do_offset + workgroup.z * params.do_batch_stride + head * HEAD_DIM;
    let row_base = (workgroup.z * params.heads + head) * params.query_tokens;
    for (var query_base = query_first; query_base < params.query_tokens; query_base += COLUMN_BLOCK) {
      workgroupBarrier();
      for (var i = thread; i < ROW_BLOCK * DIM4; i += THREADS) {
        let token = key_base + i / DIM4;
        let d = i % DIM4 * 4u;
        var x = vec4f();
        if (token < params.key_tokens && d < HEAD_DIM) {
          x = load_k(k_base + token * params.k_row_stride + d, d);
        }
        for (var e = 0u; e < 4u; e++) {
          row_tile[i / DIM4 * DIM_STRIDE + d + e] = f16(x[e]);
        }
      }
      for (var i = thread; i < COLUMN_BLOCK * DIM4; i += THREADS) {
        let token = query_base + i / DIM4;
        let d = i % DIM4 * 4u;
        var x = vec4f();
        if (token < params.query_tokens && d < HEAD_DIM) {
          x = load_q(q_base + token * params.q_row_stride + d, d);
        }
        for (var e = 0u; e < 4u; e++) {
          column_tile[i / DIM4 * DIM_STRIDE + d + e] = f16(x[e]);
        }
      }
      multiply(subgroup);
      var p: array<f32, LANE_COLUMNS>;
      for (var j = 0u; j < LANE_COLUMNS; j++) {
        let query = query_base + column + j;
        let query_lse = lse[row_base + min(query, params.query_tokens - 1u)] * LOG2_E;
        let weight = exp2(min(scores[row * SCORE_STRIDE + column + j] * scale - query_lse, 0.0));
        p[j] = select(0.0, weight, query < params.query_tokens && (!CAUSAL || key <= query + params.query_start));
        weights[row * WEIGHT_STRIDE + column + j] = f16(p[j]);
      }
      for (var i = thread; i < ROW_BLOCK * DIM4; i += THREADS) {
        let token = key_base + i / DIM4;
        let d = i % DIM4 * 4u;
        var x = vec4f();
        if (token < params.key_tokens && d < HEAD_DIM) {
          x = load_v(v_base + token * params.v_row_stride + d, d);
        }
        for (var e = 0u; e < 4u; e++) {
          row_tile[i / DIM4 * DIM_STRIDE + d + e] = f16(x[e]);
        }
      }
      for (var i = thread; i < COLUMN_BLOCK * DIM4; i += THREADS) {
        let token = query_base + i / DIM4;
        let d = i % DIM4 * 4u;
        var x = vec4f();
        if (token < params.query_tokens && d < HEAD_DIM) {
          x = load_do(do_base + token * params.do_row_stride + d, d);
        }
        for (var e = 0u; e < 4u; e++) {
          column_tile[i / DIM4 * DIM_STRIDE + d + e] = f16(x[e]);
        }
      }
      multiply(subgroup);
      for (var n = 0u; n < COLUMN_TILES; n++) {
        let a = subgroupMatrixLoad<Left, row_major>(&weights, subgroup * TILE * WEIGHT_STRIDE + n * TILE, WEIGHT_STRIDE);
        for (var c = 0u; c < DIM_TILES; c++) {
          let b = subgroupMatrixLoad<Right, row_major>(&column_tile, n * TILE * DIM_STRIDE + c * TILE, DIM_STRIDE);
          acc_v[c] = subgroupMatrixMultiplyAccumulate(a, b, acc_v[c]);
        }
      }
      workgroupBarrier();
      for (var j = 0u; j < LANE_COLUMNS; j++) {
        let query = min(query_base + column + j, params.query_tokens - 1u);
        let d_score = p[j] * (scores[row * SCORE_STRIDE + column + j] - delta[row_base + query]);
        weights[row * WEIGHT_STRIDE + column + j] = f16(d_score);
      }
      for (var i = thread; i < COLUMN_BLOCK * DIM4; i += THREADS) {
        let token = query_base + i / DIM4;
        let d = i % DIM4 * 4u;
        var x = vec4f();
        if (token < params.query_tokens && d < HEAD_DIM) {
          x = load_q(q_base + token * params.q_row_stride + d, d);
        }
        for (var e = 0u; e < 4u; e++) {
          column_tile[i / DIM4 * DIM_STRIDE + d + e] = f16(x[e]);
        }
      }
      workgroupBarrier();
      for (var n = 0u; n < COLUMN_TILES; n++) {
        let a = subgroupMatrixLoad<Left, row_major>(&weights, subgroup * TILE * WEIGHT_STRIDE + n * TILE, WEIGHT_STRIDE);
        for (var c = 0u; c < DIM_TILES; c++) {
          let b = subgroupMatrixLoad<Right, row_major>(&column_tile, n * TILE * DIM_STRIDE + c * TILE, DIM_STRIDE);
          acc_k[c] = subgroupMatrixMultiplyAccumulate(a, b, acc_k[c]);
        }
      }
    }
  }

  let k_at = params.dk_offset + workgroup.z * params.dk_batch_stride + key * params.dk_row_stride + kv_head * HEAD_DIM;
  let v_at = params.dv_offset + workgroup.z * params.dv_batch_stride + key * params.dv_row_stride + kv_head * HEAD_DIM;
  for (var c = 0u; c < DIM_TILES; c++) {
    workgroupBarrier();
    subgroupMatrixStore<row_major>(&scores, subgroup * TILE * SCORE_STRIDE, acc_k[c], SCORE_STRIDE);
    workgroupBarrier();
    for (var j = thread % LANES; j < TILE; j += LANES) {
      let d = c * TILE + j;
      if (key < params.key_tokens && d < HEAD_DIM) {
        d_kv[k_at + d] = Real(scores[row * SCORE_STRIDE + j] * params.scale);
      }
    }
  }
  for (var c = 0u; c < DIM_TILES; c++) {
    workgroupBarrier();
    subgroupMatrixStore<row_major>(&scores, subgroup * TILE * SCORE_STRIDE, acc_v[c], SCORE_STRIDE);
    workgroupBarrier();
    for (var j = thread % LANES; j < TILE; j += LANES) {
      let d = c * TILE + j;
      if (key < params.key_tokens && d < HEAD_DIM) {
        d_kv[v_at + d] = Real(scores[row * SCORE_STRIDE + j]);
      }
    }
  }
}
