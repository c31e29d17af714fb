// Causal attention, backward, gradients of keys and values, register- and workgroup-tiled for GPUs.
//
//   P = exp(scale * Q K^T - lse)      dV = P^T dO      dP = dO V^T      dS = P * (dP - delta)      dK = scale * dS^T Q
//
// Shapes:   q, d_o [batch, query_tokens, heads, HEAD_DIM], k, v [batch, key_tokens, kv_heads, HEAD_DIM], and in d_kv two windows
//           shaped like k and v (batch stride, row stride, offset in scalars); lse, delta [batch, heads, query_tokens] f32.
//           dK and dV share one buffer: packed gradients need it, and two writable bindings may not overlap.
// Bindings: 0 params, 1 q, 2 k, 3 v, 4 d_o, 5 lse, 6 delta, 7 d_kv (written).
// Dispatch: (ceil(key_tokens / ROW_BLOCK), kv_heads, batch)
//
//   One workgroup holds ROW_BLOCK keys and walks over the query heads of its group and over query blocks of 32, from the
//   first that sees one of its keys; each invocation owns 4 rows and every 8th column:
//
//                   32 queries                             HEAD_DIM in vectors of 4
//            ty 0 | 4 x 4 of S^T, then of dP^T    | -->   | 4 rows x every 8th vector    |
//   ROW_     ty 1 |                               |  P^T  |   of dV, then of dK          |
//   BLOCK    ..   |                               |  dS^T |                              |
//
// Numerics: f32 throughout; each gradient sums over heads and queries in one order whatever ROW_BLOCK, CHUNK and VALUE_ROWS are.
// Source:   Dao, "FlashAttention-2" (arXiv 2307.08691), algorithm 2, without its dQ.

alias Real = f32;
// Where HEAD_DIM and all strides and offsets are multiples of 4: Element = vec4<Real> and VECTOR = true, for 16-byte loads.
alias Element = Real;
const VECTOR: bool = false;
alias Vector = vec4<Real>;

const HEAD_DIM: u32 = 64;
const CAUSAL: bool = true;
const ROW_BLOCK: u32 = 32;
const CHUNK: u32 = 8;
const VALUE_ROWS: u32 = 8;

const COLUMN_BLOCK = 32u;
const THREADS = ROW_BLOCK * 2u;
const DIM4 = (HEAD_DIM + 3u) / 4u;
const CHUNKS = (DIM4 + CHUNK - 1u) / CHUNK;
// an odd row length in vectors keeps rows on different banks
const CHUNK_STRIDE = CHUNK + 1u - CHUNK % 2u;
// gradient vectors of a row per invocation; rows of the value tile are padded to a multiple of 8 vectors
const COLUMNS = (DIM4 + 7u) / 8u;
const VALUE_STRIDE = COLUMNS * 8u;
const WEIGHT_STRIDE = 9u;
const LOG2_E = 1.4426950408889634;

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

var<workgroup> row_tile: array<vec4f, ROW_BLOCK * CHUNK_STRIDE>;
// holds a chunk of the other operand, later a few of its whole rows
var<workgroup> column_tile: array<vec4f, max(COLUMN_BLOCK * CHUNK_STRIDE, VALUE_ROWS * VALUE_STRIDE)>;
// weights[row][tx] holds the columns tx, tx + 8, tx + 16, tx + 24
var<workgroup> weights: array<vec4f, ROW_BLOCK * WEIGHT_STRIDE>;

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

@compute @workgroup_size(THREADS)
fn backward_key_value(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) thread: u32) {
  let key_base = workgroup.x * ROW_BLOCK;
  let kv_head = workgroup.y;
  let group = params.heads / params.kv_heads;
  let k_base = params.k_offset + workgroup.z * params.k_batch_stride + kv_head * HEAD_DIM;
  let v_base = params.v_offset + workgroup.z * params.v_batch_stride + kv_head * HEAD_DIM;
  // The bounds of the longer loops, hidden from the compiler: unrolled, they take software drivers minutes to compile.
  let chunks = select(0u, CHUNKS, params.batch > 0u);
  let chunk_vectors = select(0u, CHUNK, params.batch > 0u);
  let slot_rows = select(0u, VALUE_ROWS, params.batch > 0u);
  let slots = select(0u, COLUMN_BLOCK, params.batch > 0u);
  let tx = thread % 8u;
  let row0 = thread / 8u * 4u;
  let scale = params.scale * LOG2_E;
  // the first query block that sees a key of this block; blocks start at multiples of 32 so that sums keep their order
  var query_first = 0u;
  if (CAUSAL && key_base > params.query_start) {
    query_first = (key_base - params.query_start) / COLUMN_BLOCK * COLUMN_BLOCK;
  }
  var acc_k: array<vec4f, 4u * COLUMNS>;
  var acc_v: array<vec4f, 4u * COLUMNS>;

  for (var head = kv_head * group; head < (kv_head + 1u) * group; head++) {
    let q_base = params.q_offset + workgroup.z * params.q_batch_stride + head * HEAD_DIM;
    let do_base = params.do_offset + workgroup.z * params.do_batch_stride + head * HEAD_DIM;
    let row_base = (workgroup.z * params.heads + head) * params.query_tokens;
    for (var query_base = query_first; query_base < params.query_tokens; query_base += COLUMN_BLOCK) {
      // scores[i][j]: key row0 + i, query tx + 8 j
      var scores = array<vec4f, 4>();
      for (var chunk = 0u; chunk < chunks; chunk++) {
        workgroupBarrier();
        for (var i = thread; i < ROW_BLOCK * CHUNK; i += THREADS) {
          let row = key_base + i / CHUNK;
          let d = (chunk * CHUNK + i % CHUNK) * 4u;
          var x = vec4f();
          if (row < params.key_tokens && d < HEAD_DIM) {
            x = load_k(k_base + row * params.k_row_stride + d, d);
          }
          row_tile[i / CHUNK * CHUNK_STRIDE + i % CHUNK] = x;
        }
        for (var i = thread; i < COLUMN_BLOCK * CHUNK; i += THREADS) {
          let row = query_base + i / CHUNK;
          let d = (chunk * CHUNK + i % CHUNK) * 4u;
          var x = vec4f();
          if (row < params.query_tokens && d < HEAD_DIM) {
            x = load_q(q_base + row * params.q_row_stride + d, d);
          }
          column_tile[i / CHUNK * CHUNK_STRIDE + i % CHUNK] = x;
        }
        workgroupBarrier();
        for (var c = 0u; c < chunk_vectors; c++) {
          let y0 = column_tile[tx * CHUNK_STRIDE + c];
          let y1 = column_tile[(tx + 8u) * CHUNK_STRIDE + c];
          let y2 = column_tile[(tx + 16u) * CHUNK_STRIDE + c];
          let y3 = column_tile[(tx + 24u) * CHUNK_STRIDE + c];
          for (var i = 0u; i < 4u; i++) {
            let x = row_tile[(row0 + i) * CHUNK_STRIDE + c];
            var s = fma(vec4f(x.x), vec4f(y0.x, y1.x, y2.x, y3.x), scores[i]);
            s = fma(vec4f(x.y), vec4f(y0.y, y1.y, y2.y, y3.y), s);
            s = fma(vec4f(x.z), vec4f(y0.z, y1.z, y2.z, y3.z), s);
            scores[i] = fma(vec4f(x.w), vec4f(y0.w, y1.w, y2.w, y3.w), s);
          }
        }
      }
      let queries = vec4u(query_base + tx) + vec4u(0u, 8u, 16u, 24u);
      let rows = row_base + min(queries, vec4u(params.query_tokens - 1u));
      let query_lse = vec4f(lse[rows.x], lse[rows.y], lse[rows.z], lse[rows.w]) * LOG2_E;
      let query_delta = vec4f(delta[rows.x], delta[rows.y], delta[rows.z], delta[rows.w]);
      for (var i = 0u; i < 4u; i++) {
        var visible = queries < vec4u(params.query_tokens);
        if (CAUSAL) {
          visible = visible & (vec4u(key_base + row0 + i) <= queries + params.query_start);
        }
        let p = select(vec4f(), exp2(min(scores[i] * scale - query_lse, vec4f(0.0))), visible);
        scores[i] = p;
        weights[(row0 + i) * WEIGHT_STRIDE + tx] = p;
      }
      // acc_v += P^T dO
      for (var slot = 0u; slot < slots; slot += VALUE_ROWS) {
        workgroupBarrier();
        for (var i = thread; i < VALUE_ROWS * VALUE_STRIDE; i += THREADS) {
          // in the order of weights: query t, t + 8, t + 16, t + 24 for each t
          let s = slot + i / VALUE_STRIDE;
          let row = query_base + s / 4u + s % 4u * 8u;
          let d = i % VALUE_STRIDE * 4u;
          var x = vec4f();
          if (row < params.query_tokens && d < HEAD_DIM) {
            x = load_do(do_base + row * params.do_row_stride + d, d);
          }
          column_tile[i] = x;
        }
        workgroupBarrier();
        for (var s = 0u; s < slot_rows; s += 4u) {
          for (var c = 0u; c < COLUMNS; c++) {
            let at = s * VALUE_STRIDE + c * 8u + tx;
            let y0 = column_tile[at];
            let y1 = column_tile[at + VALUE_STRIDE];
            let y2 = column_tile[at + 2u * VALUE_STRIDE];
            let y3 = column_tile[at + 3u * VALUE_STRIDE];
            for (var i = 0u; i < 4u; i++) {
              let w = weights[(row0 + i) * WEIGHT_STRIDE + (slot + s) / 4u];
              var a = fma(vec4f(w.x), y0, acc_v[i * COLUMNS + c]);
              a = fma(vec4f(w.y), y1, a);
              a = fma(vec4f(w.z), y2, a);
              acc_v[i * COLUMNS + c] = fma(vec4f(w.w), y3, a);
            }
          }
        }
      }
      var d_weights = array<vec4f, 4>();
      for (var chunk = 0u; chunk < chunks; chunk++) {
        workgroupBarrier();
        for (var i = thread; i < ROW_BLOCK * CHUNK; i += THREADS) {
          let row = key_base + i / CHUNK;
          let d = (chunk * CHUNK + i % CHUNK) * 4u;
          var x = vec4f();
          if (row < params.key_tokens && d < HEAD_DIM) {
            x = load_v(v_base + row * params.v_row_stride + d, d);
          }
          row_tile[i / CHUNK * CHUNK_STRIDE + i % CHUNK] = x;
        }
        for (var i = thread; i < COLUMN_BLOCK * CHUNK; i += THREADS) {
          let row = query_base + i / CHUNK;
          let d = (chunk * CHUNK + i % CHUNK) * 4u;
          var x = vec4f();
          if (row < params.query_tokens && d < HEAD_DIM) {
            x = load_do(do_base + row * params.do_row_stride + d, d);
          }
          column_tile[i / CHUNK * CHUNK_STRIDE + i % CHUNK] = x;
        }
        workgroupBarrier();
        for (var c = 0u; c < chunk_vectors; c++) {
          let y0 = column_tile[tx * CHUNK_STRIDE + c];
          let y1 = column_tile[(tx + 8u) * CHUNK_STRIDE + c];
          let y2 = column_tile[(tx + 16u) * CHUNK_STRIDE + c];
          let y3 = column_tile[(tx + 24u) * CHUNK_STRIDE + c];
          for (var i = 0u; i < 4u; i++) {
            let x = row_tile[(row0 + i) * CHUNK_STRIDE + c];
            var s = fma(vec4f(x.x), vec4f(y0.x, y1.x, y2.x, y3.x), d_weights[i]);
            s = fma(vec4f(x.y), vec4f(y0.y, y1.y, y2.y, y3.y), s);
            s = fma(vec4f(x.z), vec4f(y0.z, y1.z, y2.z, y3.z), s);
            d_weights[i] = fma(vec4f(x.w), vec4f(y0.w, y1.w, y2.w, y3.w), s);
          }
        }
      }
      for (var i = 0u; i < 4u; i++) {
        weights[(row0 + i) * WEIGHT_STRIDE + tx] = scores[i] * (d_weights[i] - query_delta);
      }
      // acc_k += dS^T Q
      for (var slot = 0u; slot < slots; slot += VALUE_ROWS) {
        workgroupBarrier();
        for (var i = thread; i < VALUE_ROWS * VALUE_STRIDE; i += THREADS) {
          // in the order of weights: query t, t + 8, t + 16, t + 24 for each t
          let s = slot + i / VALUE_STRIDE;
          let row = query_base + s / 4u + s % 4u * 8u;
          let d = i % VALUE_STRIDE * 4u;
          var x = vec4f();
          if (row < params.query_tokens && d < HEAD_DIM) {
            x = load_q(q_base + row * params.q_row_stride + d, d);
          }
          column_tile[i] = x;
        }
        workgroupBarrier();
        for (var s = 0u; s < slot_rows; s += 4u) {
          for (var c = 0u; c < COLUMNS; c++) {
            let at = s * VALUE_STRIDE + c * 8u + tx;
            let y0 = column_tile[at];
            let y1 = column_tile[at + VALUE_STRIDE];
            let y2 = column_tile[at + 2u * VALUE_STRIDE];
            let y3 = column_tile[at + 3u * VALUE_STRIDE];
            for (var i = 0u; i < 4u; i++) {
              let w = weights[(row0 + i) * WEIGHT_STRIDE + (slot + s) / 4u];
              var a = fma(vec4f(w.x), y0, acc_k[i * COLUMNS + c]);
              a = fma(vec4f(w.y), y1, a);
              a = fma(vec4f(w.z), y2, a);
              acc_k[i * COLUMNS + c] = fma(vec4f(w.w), y3, a);
            }
          }
        }
      }
    }
  }

  for (var i = 0u; i < 4u; i++) {
    let key = key_base + row0 + i;
    if (key < params.key_tokens) {
      let k_at = params.dk_offset + workgroup.z * params.dk_batch_stride + key * params.dk_row_stride + kv_head * HEAD_DIM;
      let v_at = params.dv_offset + workgroup.z * params.dv_batch_stride + key * params.dv_row_stride + kv_head * HEAD_DIM;
      for (var c = 0u; c < COLUMNS; c++) {
        let x = acc_k[i * COLUMNS + c] * params.scale;
        let y = acc_v[i * COLUMNS + c];
        let d = (c * 8u + tx) * 4u;
        for (var e = 0u; e < 4u; e++) {
          if (d + e < HEAD_DIM) {
            d_kv[k_at + d + e] = Real(x[e]);
            d_kv[v_at + d + e] = Real(y[e]);
          }
        }
      }
    }
  }
}
