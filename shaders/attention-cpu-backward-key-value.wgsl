// Causal attention, backward, gradients of keys and values, shaped for CPU drivers (lavapipe).
//
//   P = exp(scale * Q K^T - lse)      dV = P^T dO      dP = dO V^T      dS = P * (dP - delta)      dK = scale * dS^T Q
//
// Shapes:   q, d_o [batch, query_tokens, heads, HEAD_DIM], k, v [batch, key_tokens, kv_heads, HEAD_DIM], and in d_kv two windows
//           shaped like k and v (batch stride, row stride, offset in scalars); lse, delta [batch, heads, query_tokens] f32.
//           dK and dV share one buffer: packed gradients need it, and two writable bindings may not overlap.
// Bindings: 0 params, 1 q, 2 k, 3 v, 4 d_o, 5 lse, 6 delta, 7 d_kv (written).
// Dispatch: (ceil(key_tokens / WORKGROUP), kv_heads, batch)
//
//   Every lane of the SIMD unit owns a whole key: k, v, dK and dV in registers (loops over d have constant bounds, so the
//   driver unrolls them). Four queries at once: the lanes load a row together, a vector each, and hand it round by shuffles:
//
//              queries, 4 at once                           HEAD_DIM
//      lane 0 | 4 of S^T, 4 of dP^T            |   -->   | HEAD_DIM of dV and of dK           |
//      lane 1 |                                | P^T dS^T|                                    |
//
// Numerics: f32 throughout, heads and queries in order; WORKGROUP may be tuned and changes no bit.
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
fn backward_key_value(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let key_base = workgroup.x * WORKGROUP;
  let kv_head = workgroup.y;
  let group = params.heads / params.kv_heads;
  let key = key_base + lane;
  let row = min(key, params.key_tokens - 1u);
  let k_at = params.k_offset + workgroup.z * params.k_batch_stride + row * params.k_row_stride + kv_head * HEAD_DIM;
  let v_at = params.v_offset + workgroup.z * params.v_batch_stride + row * params.v_row_stride + kv_head * HEAD_DIM;
  let scale = params.scale * LOG2_E;

  var x: array<vec4f, DIM4>;
  var y: array<vec4f, DIM4>;
  var acc_k: array<vec4f, DIM4>;
  var acc_v: array<vec4f, DIM4>;
  for (var c = 0u; c < DIM4; c++) {
    x[c] = load_k(k_at + c * 4u, c * 4u) * scale;
    y[c] = load_v(v_at + c * 4u, c * 4u);
    acc_k[c] = vec4f();
    acc_v[c] = vec4f();
  }
  // groups of 4 queries start at multiples of 4, so that sums keep their order whatever WORKGROUP is
  var query_first = 0u;
  if (CAUSAL && key_base > params.query_start) {
    query_first = (key_base - params.query_start) / 4u * 4u;
  }

  for (var head = kv_head * group; head < (kv_head + 1u) * group; head++) {
    let q_base = params.q_offset + workgroup.z * params.q_batch_stride + head * HEAD_DIM;
    let do_base = params.do_offset + workgroup.z * params.do_batch_stride + head * HEAD_DIM;
    let row_base = (workgroup.z * params.heads + head) * params.query_tokens;
    for (var query_base = query_first; query_base < params.query_tokens; query_base += 4u) {
      // beyond the last query the last one is read again; its weights are zero
      let query = vec4u(query_base) + vec4u(0u, 1u, 2u, 3u);
      let rows = min(query, vec4u(params.query_tokens - 1u));
      let q_at = vec4u(q_base) + rows * params.q_row_stride;
      let do_at = vec4u(do_base) + rows * params.do_row_stride;
      let own_row = row_base + min(query_base + lane % 4u, params.query_tokens - 1u);
      let own_lse = lse[own_row] * LOG2_E;
      let own_delta = delta[own_row];
      let query_lse = vec4f(subgroupShuffle(own_lse, 0u), subgroupShuffle(own_lse, 1u),
                            subgroupShuffle(own_lse, 2u), subgroupShuffle(own_lse, 3u));
      let query_delta = vec4f(subgroupShuffle(own_delta, 0u), subgroupShuffle(own_delta, 1u),
                              subgroupShuffle(own_delta, 2u), subgroupShuffle(own_delta, 3u));
      var q0s = array<vec4f, SHARE>();
      var q1s = array<vec4f, SHARE>();
      var q2s = array<vec4f, SHARE>();
      var q3s = array<vec4f, SHARE>();
      var g0s = array<vec4f, SHARE>();
      var g1s = array<vec4f, SHARE>();
      var g2s = array<vec4f, SHARE>();
      var g3s = array<vec4f, SHARE>();
      for (var g = 0u; g < SHARE; g++) {
        let column = min(g * LANES + lane % LANES, DIM4 - 1u) * 4u;
        q0s[g] = load_q(q_at.x + column, column);
        q1s[g] = load_q(q_at.y + column, column);
        q2s[g] = load_q(q_at.z + column, column);
        q3s[g] = load_q(q_at.w + column, column);
        g0s[g] = load_do(do_at.x + column, column);
        g1s[g] = load_do(do_at.y + column, column);
        g2s[g] = load_do(do_at.z + column, column);
        g3s[g] = load_do(do_at.w + column, column);
      }
      var s = vec4f();
      var d_p = vec4f();
      for (var c = 0u; c < DIM4; c++) {
        let q0 = hand_round(q0s, c);
        let q1 = hand_round(q1s, c);
        let q2 = hand_round(q2s, c);
        let q3 = hand_round(q3s, c);
        s = fma(vec4f(x[c].x), vec4f(q0.x, q1.x, q2.x, q3.x), s);
        s = fma(vec4f(x[c].y), vec4f(q0.y, q1.y, q2.y, q3.y), s);
        s = fma(vec4f(x[c].z), vec4f(q0.z, q1.z, q2.z, q3.z), s);
        s = fma(vec4f(x[c].w), vec4f(q0.w, q1.w, q2.w, q3.w), s);
        let g0 = hand_round(g0s, c);
        let g1 = hand_round(g1s, c);
        let g2 = hand_round(g2s, c);
        let g3 = hand_round(g3s, c);
        d_p = fma(vec4f(y[c].x), vec4f(g0.x, g1.x, g2.x, g3.x), d_p);
        d_p = fma(vec4f(y[c].y), vec4f(g0.y, g1.y, g2.y, g3.y), d_p);
        d_p = fma(vec4f(y[c].z), vec4f(g0.z, g1.z, g2.z, g3.z), d_p);
        d_p = fma(vec4f(y[c].w), vec4f(g0.w, g1.w, g2.w, g3.w), d_p);
      }
      var visible = query < vec4u(params.query_tokens);
      if (CAUSAL) {
        visible = visible & (vec4u(key) <= query + params.query_start);
      }
      let p = select(vec4f(), exp2(min(s - query_lse, vec4f(0.0))), visible);
      let d_s = p * (d_p - query_delta);
      for (var c = 0u; c < DIM4; c++) {
        var a = fma(vec4f(p.x), hand_round(g0s, c), acc_v[c]);
        a = fma(vec4f(p.y), hand_round(g1s, c), a);
        a = fma(vec4f(p.z), hand_round(g2s, c), a);
        acc_v[c] = fma(vec4f(p.w), hand_round(g3s, c), a);
        var b = fma(vec4f(d_s.x), hand_round(q0s, c), acc_k[c]);
        b = fma(vec4f(d_s.y), hand_round(q1s, c), b);
        b = fma(vec4f(d_s.z), hand_round(q2s, c), b);
        acc_k[c] = fma(vec4f(d_s.w), hand_round(q3s, c), b);
      }
    }
  }

  if (key < params.key_tokens) {
    let dk_at = params.dk_offset + workgroup.z * params.dk_batch_stride + key * params.dk_row_stride + kv_head * HEAD_DIM;
    let dv_at = params.dv_offset + workgroup.z * params.dv_batch_stride + key * params.dv_row_stride + kv_head * HEAD_DIM;
    for (var c = 0u; c < DIM4; c++) {
      let g = acc_k[c] * params.scale;
      for (var e = 0u; e < min(4u, HEAD_DIM - c * 4u); e++) {
        d_kv[dk_at + c * 4u + e] = Real(g[e]);
        d_kv[dv_at + c * 4u + e] = Real(acc_v[c][e]);
      }
    }
  }
}
