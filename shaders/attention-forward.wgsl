// Causal attention, forward, register- and workgroup-tiled for GPUs.
//
//   S = scale * Q K^T,  query i sees keys 0 .. query_start + i      P = softmax(S)      O = P V
//   lse[i] = log(sum_j exp(S[i, j])), kept for the backward pass. The tokens x tokens matrix never exists:
//   key blocks stream past a block of queries while a running maximum m and sum l rescale the output.
//
// Shapes:   q, o [batch, query_tokens, heads, HEAD_DIM], k, v [batch, key_tokens, kv_heads, HEAD_DIM], each a window into a
//           buffer given by a batch stride, a row stride and an offset in scalars, so q, k, v may share one packed buffer;
//           lse [batch, heads, query_tokens] f32. Grouped queries: head h reads key/value head h / (heads / kv_heads).
// Bindings: 0 params, 1 q, 2 k, 3 v, 4 o, 5 lse (o and lse are written).
// Dispatch: (ceil(query_tokens / QUERY_BLOCK), heads, batch)
//
//   Each invocation owns 4 query rows and every 8th column, of the scores first and of the output next:
//
//                     KEY_BLOCK = 32 keys                 HEAD_DIM in vectors of 4
//              tx:  0 1 2 .. 7 0 1 .. 7 ...               0 1 2 .. 7 0 1 ..
//            ty 0 | 4 x 4 scores (keys tx + 8 j)  | -->   | 4 rows x every 8th vector    |
//   QUERY_   ty 1 |                               |  P    |                              |
//   BLOCK    ..   |                               |       |                              |
//
//   The scores accumulate over the head dimension in chunks of CHUNK vectors staged in workgroup memory; the values are
//   staged VALUE_KEYS rows at a time. A block is masked only for rows that do not see all of it; one that no row sees is never visited.
//
// Numerics: f32 throughout. KEY_BLOCK fixes the order of the online softmax and is no tunable; QUERY_BLOCK, CHUNK and
//           VALUE_KEYS may be tuned and change no bit.
// Source:   Dao, "FlashAttention-2" (arXiv 2307.08691), algorithm 1.

alias Real = f32;
// Where HEAD_DIM and all strides and offsets are multiples of 4: Element = vec4<Real> and VECTOR = true, for 16-byte loads.
alias Element = Real;
const VECTOR: bool = false;
alias Vector = vec4<Real>;

const HEAD_DIM: u32 = 64;
const CAUSAL: bool = true;
const QUERY_BLOCK: u32 = 32;
const CHUNK: u32 = 8;
const VALUE_KEYS: u32 = 8;

const KEY_BLOCK = 32u;
const THREADS = QUERY_BLOCK * 2u;
const DIM4 = (HEAD_DIM + 3u) / 4u;
const CHUNKS = (DIM4 + CHUNK - 1u) / CHUNK;
// an odd row length in vectors keeps rows on different banks
const CHUNK_STRIDE = CHUNK + 1u - CHUNK % 2u;
// output vectors of a row per invocation; rows of the value tile are padded to a multiple of 8 vectors
const COLUMNS = (DIM4 + 7u) / 8u;
const VALUE_STRIDE = COLUMNS * 8u;
const WEIGHT_STRIDE = 9u;
const MASKED = -1e30;
const LOG2_E = 1.4426950408889634;
const LN_2 = 0.6931471805599453;

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

var<workgroup> query_tile: array<vec4f, QUERY_BLOCK * CHUNK_STRIDE>;
// holds a chunk of keys, later a few rows of values
var<workgroup> key_tile: array<vec4f, max(KEY_BLOCK * CHUNK_STRIDE, VALUE_KEYS * VALUE_STRIDE)>;
// weights[row][tx] holds the keys tx, tx + 8, tx + 16, tx + 24
var<workgroup> weights: array<vec4f, QUERY_BLOCK * WEIGHT_STRIDE>;
var<workgroup> partial_max: array<f32, QUERY_BLOCK * 8u>;
var<workgroup> partial_sum: array<f32, QUERY_BLOCK * 8u>;

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

@compute @workgroup_size(THREADS)
fn forward(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  // the last query block has the most keys: start it first
  let query_base = (workgroups.x - 1u - workgroup.x) * QUERY_BLOCK;
  let head = workgroup.y;
  let kv_head = head / (params.heads / params.kv_heads);
  let q_base = params.q_offset + workgroup.z * params.q_batch_stride + head * HEAD_DIM;
  let k_base = params.k_offset + workgroup.z * params.k_batch_stride + kv_head * HEAD_DIM;
  let v_base = params.v_offset + workgroup.z * params.v_batch_stride + kv_head * HEAD_DIM;
  // The bounds of the longer loops, hidden from the compiler: unrolled, they take software drivers minutes to compile.
  let chunks = select(0u, CHUNKS, params.batch > 0u);
  let chunk_vectors = select(0u, CHUNK, params.batch > 0u);
  let slot_rows = select(0u, VALUE_KEYS, params.batch > 0u);
  let slots = select(0u, KEY_BLOCK, params.batch > 0u);
  let tx = thread % 8u;
  let row0 = thread / 8u * 4u;
  // scores in base 2: exp2 is what the hardware has
  let scale = params.scale * LOG2_E;

  var key_end = params.key_tokens;
  if (CAUSAL) {
    key_end = min(key_end, params.query_start + min(query_base + QUERY_BLOCK, params.query_tokens));
  }
  var row_max = vec4f(MASKED);
  var row_sum = vec4f(0.0);
  var acc: array<vec4f, 4u * COLUMNS>;

  for (var key_base = 0u; key_base < key_end; key_base += KEY_BLOCK) {
    // scores[i][j]: query row0 + i, key tx + 8 j
    var scores = array<vec4f, 4>();
    for (var chunk = 0u; chunk < chunks; chunk++) {
      workgroupBarrier();
      // one chunk covers the whole head: the queries stay
      if (CHUNKS > 1u || key_base == 0u) {
        for (var i = thread; i < QUERY_BLOCK * CHUNK; i += THREADS) {
          let row = i / CHUNK;
          let d = (chunk * CHUNK + i % CHUNK) * 4u;
          var x = vec4f();
          if (query_base + row < params.query_tokens && d < HEAD_DIM) {
            x = load_q(q_base + (query_base + row) * params.q_row_stride + d, d);
          }
          query_tile[row * CHUNK_STRIDE + i % CHUNK] = x;
        }
      }
      for (var i = thread; i < KEY_BLOCK * CHUNK; i += THREADS) {
        let row = i / CHUNK;
        let d = (chunk * CHUNK + i % CHUNK) * 4u;
        var x = vec4f();
        if (key_base + row < params.key_tokens && d < HEAD_DIM) {
          x = load_k(k_base + (key_base + row) * params.k_row_stride + d, d);
        }
        key_tile[row * CHUNK_STRIDE + i % CHUNK] = x;
      }
      workgroupBarrier();
      for (var c = 0u; c < chunk_vectors; c++) {
        let k0 = key_tile[tx * CHUNK_STRIDE + c];
        let k1 = key_tile[(tx + 8u) * CHUNK_STRIDE + c];
        let k2 = key_tile[(tx + 16u) * CHUNK_STRIDE + c];
        let k3 = key_tile[(tx + 24u) * CHUNK_STRIDE + c];
        for (var i = 0u; i < 4u; i++) {
          let x = query_tile[(row0 + i) * CHUNK_STRIDE + c];
          var s = fma(vec4f(x.x), vec4f(k0.x, k1.x, k2.x, k3.x), scores[i]);
          s = fma(vec4f(x.y), vec4f(k0.y, k1.y, k2.y, k3.y), s);
          s = fma(vec4f(x.z), vec4f(k0.z, k1.z, k2.z, k3.z), s);
          scores[i] = fma(vec4f(x.w), vec4f(k0.w, k1.w, k2.w, k3.w), s);
        }
      }
    }

    // mask, and the maximum of each row
    for (var i = 0u; i < 4u; i++) {
      var s = scores[i] * scale;
      var visible = params.key_tokens;
      if (CAUSAL) {
        visible = min(visible, params.query_start + query_base + row0 + i + 1u);
      }
      if (key_base + KEY_BLOCK > visible) {
        s = select(vec4f(MASKED), s, vec4u(key_base + tx) + vec4u(0u, 8u, 16u, 24u) < vec4u(visible));
      }
      scores[i] = s;
      partial_max[(row0 + i) * 8u + tx] = max(max(s.x, s.y), max(s.z, s.w));
    }
    workgroupBarrier();

    // weights, and the factor that moves the running sums to the new maximum
    var rescale = vec4f();
    for (var i = 0u; i < 4u; i++) {
      var m = row_max[i];
      for (var t = 0u; t < 8u; t++) {
        m = max(m, partial_max[(row0 + i) * 8u + t]);
      }
      rescale[i] = exp2(row_max[i] - m);
      row_max[i] = m;
      let p = exp2(scores[i] - m);
      weights[(row0 + i) * WEIGHT_STRIDE + tx] = p;
      partial_sum[(row0 + i) * 8u + tx] = (p.x + p.y) + (p.z + p.w);
      for (var c = 0u; c < COLUMNS; c++) {
        acc[i * COLUMNS + c] *= rescale[i];
      }
    }

    // acc += P V
    for (var slot = 0u; slot < slots; slot += VALUE_KEYS) {
      workgroupBarrier();
      if (slot == 0u) {
        for (var i = 0u; i < 4u; i++) {
          var sum = row_sum[i] * rescale[i];
          for (var t = 0u; t < 8u; t++) {
            sum += partial_sum[(row0 + i) * 8u + t];
          }
          row_sum[i] = sum;
        }
      }
      for (var i = thread; i < VALUE_KEYS * VALUE_STRIDE; i += THREADS) {
        // rows in the order of weights: key t, t + 8, t + 16, t + 24 for each t
        let s = slot + i / VALUE_STRIDE;
        let key = key_base + s / 4u + s % 4u * 8u;
        let d = i % VALUE_STRIDE * 4u;
        var x = vec4f();
        if (key < params.key_tokens && d < HEAD_DIM) {
          x = load_v(v_base + key * params.v_row_stride + d, d);
        }
        key_tile[i] = x;
      }
      workgroupBarrier();
      for (var s = 0u; s < slot_rows; s += 4u) {
        for (var c = 0u; c < COLUMNS; c++) {
          let at = s * VALUE_STRIDE + c * 8u + tx;
          let v0 = key_tile[at];
          let v1 = key_tile[at + VALUE_STRIDE];
          let v2 = key_tile[at + 2u * VALUE_STRIDE];
          let v3 = key_tile[at + 3u * VALUE_STRIDE];
          for (var i = 0u; i < 4u; i++) {
            let p = weights[(row0 + i) * WEIGHT_STRIDE + (slot + s) / 4u];
            var a = fma(vec4f(p.x), v0, acc[i * COLUMNS + c]);
            a = fma(vec4f(p.y), v1, a);
            a = fma(vec4f(p.z), v2, a);
            acc[i * COLUMNS + c] = fma(vec4f(p.w), v3, a);
          }
        }
      }
    }
  }

  for (var i = 0u; i < 4u; i++) {
    let query = query_base + row0 + i;
    if (query < params.query_tokens) {
      let at = params.o_offset + workgroup.z * params.o_batch_stride + query * params.o_row_stride + head * HEAD_DIM;
      for (var c = 0u; c < COLUMNS; c++) {
        let x = acc[i * COLUMNS + c] / row_sum[i];
        let d = (c * 8u + tx) * 4u;
        for (var e = 0u; e < 4u; e++) {
          if (d + e < HEAD_DIM) {
            o[at + d + e] = Real(x[e]);
          }
        }
      }
      if (tx == 0u) {
        lse[(workgroup.z * params.heads + head) * params.query_tokens + query] = (row_max[i] + log2(row_sum[i])) * LN_2;
      }
    }
  }
}
