// Causal attention, backward, gradient of the queries, shaped for CPU drivers (lavapipe).
//
//   P = exp(scale * Q K^T - lse)      dP = dO V^T      dS = P * (dP - delta)      dQ = scale * dS K
//
// Shapes:   q, d_o, d_q [batch, query_tokens, heads, HEAD_DIM], k, v [batch, key_tokens, kv_heads, HEAD_DIM], as windows
//           (batch stride, row stride, offset in scalars); lse, delta [batch, heads, query_tokens] f32
// Bindings: 0 params, 1 q, 2 k, 3 v, 4 d_o, 5 lse, 6 delta, 7 d_q (written).
// Dispatch: (ceil(query_tokens / WORKGROUP), heads, batch)
//
//   Every lane of the SIMD unit owns a whole query: q, dO and dQ in registers (loops over d have constant bounds, so the
//   driver unrolls them). Four keys at once: the lanes load a row together, a vector each, and hand it round by shuffles:
//
//              keys, 4 at once                              HEAD_DIM
//      lane 0 | 4 of S, 4 of dP, over all of d |   -->   | HEAD_DIM of dQ, in registers       |
//      lane 1 |                                |   dS    |                                    |
//
// Numerics: f32 throughout, keys in order; WORKGROUP may be tuned and changes no bit.
// Source:   Dao, "FlashAttention-2" (arXiv 2307.08691), algorithm 2; the mapping is our own, from measurements.

enable subgroups;

alias Real = f32;
// Where HEAD_DIM and all strides and offsets are multiples of 4: Element = vec4<Real> and VECTOR = true, for 16-byte loads.
alias Element = Real;
const VECTOR: bool = false;
alias Vector = vec4<Real>;

const HEAD_DIM: u32 = 64;
const CAUSAL: bool = true;
const WORKGROUP: u32 = 8;

const DIM4 = (HEAD_DIM + 3u) / 4u;
// Subgroup size. Each lane loads every LANES-th vector of a row that all lanes need, and hands it round.
const LANES = 8u;
const SHARE = (DIM4 + LANES - 1u) / LANES;
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
  dq_batch_stride: u32,
  dq_row_stride: u32,
  dq_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Element>;
@group(0) @binding(2) var<storage, read> k: array<Element>;
@group(0) @binding(3) var<storage, read> v: array<Element>;
@group(0) @binding(4) var<storage, read> d_o: array<Element>;
@group(0) @binding(5) var<storage, read> lse: array<f32>;
@group(0) @binding(6) var<storage, read> delta: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_q: array<Real>;

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

// Vector c of the row that the lanes hold in shares.
fn hand_round(share: array<vec4f, SHARE>, c: u32) -> vec4f {
  return subgroupShuffle(share[c / LANES], c % LANES);
}

@compute @workgroup_size(WORKGROUP)
fn backward_query(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let query_base = workgroup.x * WORKGROUP;
  let head = workgroup.y;
  let kv_head = head / (params.heads / params.kv_heads);
  let k_base = params.k_offset + workgroup.z * params.k_batch_stride + kv_head * HEAD_DIM;
  let v_base = params.v_offset + workgroup.z * params.v_batch_stride + kv_head * HEAD_DIM;
  let query = query_base + lane;
  let row = min(query, params.query_tokens - 1u);
  let q_at = params.q_offset + workgroup.z * params.q_batch_stride + row * params.q_row_stride + head * HEAD_DIM;
  let do_at = params.do_offset + workgroup.z * params.do_batch_stride + row * params.do_row_stride + head * HEAD_DIM;
  let scale = params.scale * LOG2_E;

  var x: array<vec4f, DIM4>;
  var y: array<vec4f, DIM4>;
  var acc: array<vec4f, DIM4>;
  for (var c = 0u; c < DIM4; c++) {
    x[c] = load_q(q_at + c * 4u, c * 4u) * scale;
    y[c] = load_do(do_at + c * 4u, c * 4u);
    acc[c] = vec4f();
  }
  let row_index = (workgroup.z * params.heads + head) * params.query_tokens + row;
  let row_lse = lse[row_index] * LOG2_E;
  let row_delta = delta[row_index];
  var visible = params.key_tokens;
  var key_end = params.key_tokens;
  if (CAUSAL) {
    visible = min(visible, params.query_start + row + 1u);
    key_end = min(key_end, params.query_start + min(query_base + WORKGROUP, params.query_tokens));
  }

  for (var key_base = 0u; key_base < key_end; key_base += 4u) {
    // beyond the last key the last one is read again; its weights are zero
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
    var d_p = vec4f();
    for (var c = 0u; c < DIM4; c++) {
      let k0 = hand_round(k0s, c);
      let k1 = hand_round(k1s, c);
      let k2 = hand_round(k2s, c);
      let k3 = hand_round(k3s, c);
      s = fma(vec4f(x[c].x), vec4f(k0.x, k1.x, k2.x, k3.x), s);
      s = fma(vec4f(x[c].y), vec4f(k0.y, k1.y, k2.y, k3.y), s);
      s = fma(vec4f(x[c].z), vec4f(k0.z, k1.z, k2.z, k3.z), s);
      s = fma(vec4f(x[c].w), vec4f(k0.w, k1.w, k2.w, k3.w), s);
      let v0 = hand_round(v0s, c);
      let v1 = hand_round(v1s, c);
      let v2 = hand_round(v2s, c);
      let v3 = hand_round(v3s, c);
      d_p = fma(vec4f(y[c].x), vec4f(v0.x, v1.x, v2.x, v3.x), d_p);
      d_p = fma(vec4f(y[c].y), vec4f(v0.y, v1.y, v2.y, v3.y), d_p);
      d_p = fma(vec4f(y[c].z), vec4f(v0.z, v1.z, v2.z, v3.z), d_p);
      d_p = fma(vec4f(y[c].w), vec4f(v0.w, v1.w, v2.w, v3.w), d_p);
    }
    let p = exp2(min(s - row_lse, vec4f(0.0)));
    let d_s = select(vec4f(), p * (d_p - row_delta), key < vec4u(visible));
    for (var c = 0u; c < DIM4; c++) {
      var a = fma(vec4f(d_s.x), hand_round(k0s, c), acc[c]);
      a = fma(vec4f(d_s.y), hand_round(k1s, c), a);
      a = fma(vec4f(d_s.z), hand_round(k2s, c), a);
      acc[c] = fma(vec4f(d_s.w), hand_round(k3s, c), a);
    }
  }

  if (query < params.query_tokens) {
    let at = params.dq_offset + workgroup.z * params.dq_batch_stride + query * params.dq_row_stride + head * HEAD_DIM;
    for (var c = 0u; c < DIM4; c++) {
      let g = acc[c] * params.scale;
      for (var e = 0u; e < min(4u, HEAD_DIM - c * 4u); e++) {
        d_q[at + c * 4u + e] = Real(g[e]);
      }
    }
  }
}
