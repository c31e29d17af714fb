// The adapter's multiply-add ceiling: twelve independent chains of x = x * r + s in every invocation.
//
//   FLOPs of a dispatch of w workgroups: 2 * 12 * UNROLL * rounds * WORKGROUP * w
//
// Bindings: 0 params, 1 result (f32, one element an invocation).
// Dispatch: w workgroups in x.
//
//   invocation   x0 -> x0 * r + s -> .. -> |                    rounds * UNROLL steps, no chain waits for another;
//                x1 -> x1 * r + s -> .. -> | -> sum -> result   as scalars (FORM 0, 1) or as three vec4s (FORM 2, 3)
//                .. x11                    |
//
// FORM chooses how a chain is written, because drivers differ in which is fastest; the ceiling is the
// best of all forms: 0 scalar fma, 1 scalar x * r + s, 2 vec4 fma (3 vectors), 3 vec4 x * r + s.
// Twelve chains hide the latency of the adders and still fit in 16 vector registers. The inner loop has
// a constant count, which drivers unroll: a driver may keep a mask in every round of a real loop.
// r and s come from memory, so nothing folds; r < 1 keeps every chain finite.
// Source: this project's: nothing but arithmetic, in as many forms as drivers differ about.

const FORM: u32 = 0u;
const WORKGROUP: u32 = 64u;
const UNROLL: u32 = 32u;

struct Params { rounds: u32, r: f32, s: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> result: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3u) {
  let seed = f32(invocation.x & 255u);
  let r = params.r + seed * 1e-6;
  let s = params.s;
  if (FORM < 2u) {
    var x0 = seed; var x1 = seed + 1.0; var x2 = seed + 2.0; var x3 = seed + 3.0;
    var x4 = seed + 4.0; var x5 = seed + 5.0; var x6 = seed + 6.0; var x7 = seed + 7.0;
    var x8 = seed + 8.0; var x9 = seed + 9.0; var x10 = seed + 10.0; var x11 = seed + 11.0;
    for (var i = 0u; i < params.rounds; i++) {
      for (var u = 0u; u < UNROLL; u++) {
        if (FORM == 0u) {
          x0 = fma(x0, r, s); x1 = fma(x1, r, s); x2 = fma(x2, r, s); x3 = fma(x3, r, s);
          x4 = fma(x4, r, s); x5 = fma(x5, r, s); x6 = fma(x6, r, s); x7 = fma(x7, r, s);
          x8 = fma(x8, r, s); x9 = fma(x9, r, s); x10 = fma(x10, r, s); x11 = fma(x11, r, s);
        } else {
          x0 = x0 * r + s; x1 = x1 * r + s; x2 = x2 * r + s; x3 = x3 * r + s;
          x4 = x4 * r + s; x5 = x5 * r + s; x6 = x6 * r + s; x7 = x7 * r + s;
          x8 = x8 * r + s; x9 = x9 * r + s; x10 = x10 * r + s; x11 = x11 * r + s;
        }
      }
    }
    result[invocation.x] = (x0 + x1) + (x2 + x3) + (x4 + x5) + (x6 + x7) + (x8 + x9) + (x10 + x11);
  } else {
    let r4 = vec4f(r);
    let s4 = vec4f(s);
    var v0 = vec4f(seed); var v1 = vec4f(seed + 1.0); var v2 = vec4f(seed + 2.0);
    for (var i = 0u; i < params.rounds; i++) {
      for (var u = 0u; u < UNROLL; u++) {
        if (FORM == 2u) {
          v0 = fma(v0, r4, s4); v1 = fma(v1, r4, s4); v2 = fma(v2, r4, s4);
        } else {
          v0 = v0 * r4 + s4; v1 = v1 * r4 + s4; v2 = v2 * r4 + s4;
        }
      }
    }
    let v = v0 + v1 + v2;
    result[invocation.x] = (v.x + v.y) + (v.z + v.w);
  }
}
