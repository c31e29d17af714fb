// Causal attention, forward, shaped for CPU drivers (lavapipe).
//
//   S = scale * Q K^T,  query i sees keys 0 .. query_start + i      P = softmax(S)      O = P V
//   lse[i] = log(sum_j exp(S[i, j])), kept for the backward pass.
//
// Shapes:   q, o [batch, query_tokens, heads, HEAD_DIM], k, v [batch, key_tokens, kv_heads, HEAD_DIM], each a window into a
//           buffer given by a batch stride, a row stride and an offset in scalars, so q, k, v may share one packed buffer;
//           lse [batch, heads, query_tokens] f32. Grouped queries: head h reads key/value head h / (heads / kv_heads).
// Bindings: 0 params, 1 q, 2 k, 3 v, 4 o, 5 lse (o and lse are written).
// Dispatch: (ceil(query_tokens / WORKGROUP), heads, batch)
//
//   Every lane of the SIMD unit owns a whole query, so that keys and values are the same for all lanes and nothing needs a
//   barrier or workgroup memory. A load costs a lane as much whether all lanes want the same or not, so the lanes load a
//   row together, a vector each, and hand the vectors round by shuffles with constant lanes:
//
//              keys, 4 at once                              HEAD_DIM
//      lane 0 | 4 scores over all of d         |   -->   | HEAD_DIM of O, in registers        |
//      lane 1 |                                |         |                                    |
//      ..       k[j][d .. d+3]: from lane d / 4 % 8         v[j][d .. d+3]: likewise
//
//   Loops over d have constant bounds: the driver unrolls them, and the private arrays become registers.
//
// Numerics: f32 throughout. The 4 keys of a step fix the order of the online softmax; WORKGROUP may be tuned and
//           changes no bit.
// Source:   Dao, "FlashAttention-2" (arXiv 2307.08691), algorithm 1; the mapping is our own, from measurements.

enable subgroups;

alias Real = f32;
// Where HEAD_DIM and all strides and offsets are multiples of 4: Element = vec4<Real> and VECTOR = true, for 16-byte loads.
alias Element = Real;
const VECTOR: bool = false;
alias Vector = vec4<Real>;

const HEAD_DIM: u32 = 64;
const CAUSAL: bool = true;
const WORKGROUP: u32 = 8;

const KEY_BLOCK = 4u;
const DIM4 = (HEAD_DIM + 3u) / 4u;
// Subgroup size. Each lane loads every LANES-th vector of a row that all lanes need, and hands it round.
const LANES = 8u;
const SHARE = (DIM4 + LANES - 1u) / LANES;
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

// Vector c of the row that the lanes hold in shares.
fn hand_round(share: array<vec4f, SHARE>, c: u32) -> vec4f {
  return subgroupShuffle(share[c / LANES], c % LANES);
}

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let query_base = workgroup.x * WORKGROUP;
  let head = workgroup.y;
  let kv_head = head / (params.heads / params.kv_heads);
  let q_base = params.q_offset + workgroup.z * params.q_batch_stride + head * HEAD_DIM;
  let k_base = params.k_offset + workgroup.z * params.k_batch_stride + kv_head * HEAD_DIM;
  let v_base = params.v_offset + workgroup.z * params.v_batch_stride + kv_head * HEAD_DIM;
  // scores in base 2, the scale folded into the queries
  let scale = params.scale * LOG2_E;

  let query = query_base + lane;
  let row = min(query, params.query_tokens - 1u);
  var x: array<vec4f, DIM4>;
  var acc: array<vec4f, DIM4>;
  for (var c = 0u; c < DIM4; c++) {
    x[c] = load_q(q_base + row * params.q_row_stride + c * 4u, c * 4u) * scale;
    acc[c] = vec4f();
  }
  var row_max = MASKED;
  var row_sum = 0.0;
  var visible = params.key_tokens;
  var key_end = params.key_tokens;
  if (CAUSAL) {
    visible = min(visible, params.query_start + row + 1u);
    key_end = min(key_end, params.query_start + min(query_base + WORKGROUP, params.query_tokens));
  }

  for (var key_base = 0u; key_base < key_end; key_base += KEY_BLOCK) {
    // beyond the last key the last one is read again; its scores are masked
    let key = vec4u(key_base) + vec4u(0u, 1u, 2u, 3u);
    let k_at = vec4u(k_base) + min(key, vec4u(params.key_tokens - 1u)) * params.k_row_stride;
    let v_at = vec4u(v_base) + min(key, vec4u(params.key_tokens - 1u)) * params.v_row_stride;
    var k0s = array<vec4f, SHARE>();
    var k1s = array<vec4f, SHARE>();
    var k2s = array<vec4f, SHARE>();
    var k3s = array<vec4f, SHARE>();
    var v0s = array<vec4f, SHARE>();
    var v1s = array<vec4f, SHARE>();
    var v2s = array<vec4f, SHARE>();
    var v3s = array<vec4f, SHARE>();
    for (var g = 0u; g < SHARE; g++) {
      let column = min(g * LANES + lane % LANES, DIM4 - 1u) * 4u;
      k0s[g] = load_k(k_at.x + column, column);
      k1s[g] = load_k(k_at.y + column, column);
      k2s[g] = load_k(k_at.z + column, column);
      k3s[g] = load_k(k_at.w + column, column);
      v0s[g] = load_v(v_at.x + column, column);
      v1s[g] = load_v(v_at.y + column, column);
      v2s[g] = load_v(v_at.z + column, column);
      v3s[g] = load_v(v_at.w + column, column);
    }
    var s = vec4f();
    for (var c = 0u; c < DIM4; c++) {
      let k0 = hand_round(k0s, c);
      let k1 = hand_round(k1s, c);
      let k2 = hand_round(k2s, c);
      let k3 = hand_round(k3s, c);
      s = fma(vec4f(x[c].x), vec4f(k0.x, k1.x, k2.x, k3.x), s);
      s = fma(vec4f(x[c].y), vec4f(k0.y, k1.y, k2.y, k3.y), s);
      s = fma(vec4f(x[c].z), vec4f(k0.z, k1.z, k2.z, k3.z), s);
      s = fma(vec4f(x[c].w), vec4f(k0.w, k1.w, k2.w, k3.w), s);
    }
    s = select(vec4f(MASKED), s, key < vec4u(visible));
    let new_max = max(row_max, max(max(s.x, s.y), max(s.z, s.w)));
    let rescale = exp2(row_max - new_max);
    let w = exp2(s - new_max);
    row_max = new_max;
    row_sum = fma(row_sum, rescale, (w.x + w.y) + (w.z + w.w));
    for (var c = 0u; c < DIM4; c++) {
      var a = fma(vec4f(w.x), hand_round(v0s, c), acc[c] * rescale);
      a = fma(vec4f(w.y), hand_round(v1s, c), a);
      a = fma(vec4f(w.z), hand_round(v2s, c), a);
      acc[c] = fma(vec4f(w.w), hand_round(v3s, c), a);
    }
  }

  if (query < params.query_tokens) {
    let at = params.o_offset + workgroup.z * params.o_batch_stride + query * params.o_row_stride + head * HEAD_DIM;
    for (var c = 0u; c < DIM4; c++) {
      let y = acc[c] / row_sum;
      for (var e = 0u; e < min(4u, HEAD_DIM - c * 4u); e++) {
        o[at + c * 4u + e] = Real(y[e]);
      }
    }
    lse[(workgroup.z * params.heads + head) * params.query_tokens + query] = (row_max + log2(row_sum)) * LN_2;
  }
}
