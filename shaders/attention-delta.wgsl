// Attention, backward, pre-pass shared by all variants.
//
//   delta[b, h, i] = sum_d dO[b, i, h, d] * O[b, i, h, d]     (equals sum_j P dP, the term of softmax's gradient)
//
// Shapes:   o, d_o [batch, query_tokens, heads, HEAD_DIM] as windows (batch stride, row stride, offset in scalars);
//           delta [batch, heads, query_tokens] f32
// Bindings: 0 params, 1 o, 2 d_o, 3 delta (written).
// Dispatch: ceil(batch * query_tokens * heads / WORKGROUP) in x; above 65535 workgroups continue in y.
//
//   One invocation per row and head, heads fastest so that neighbours read neighbouring memory:
//
//                  row i                                      | row i + 1
//      invocation | head 0       | head 1       | ..          | ..           each reads HEAD_DIM of o and of d_o into
//                 | d: 0 1 2 ..  | d: 0 1 2 ..  |             |              one sum, in ascending d; with VECTOR into
//                                                                            four, added as (x + y) + (z + w)
//
// Source:   Dao, "FlashAttention-2" (arXiv 2307.08691), algorithm 2, line 4.

alias Real = f32;
// Where HEAD_DIM and all strides and offsets are multiples of 4: Element = vec4<Real> and VECTOR = true.
alias Element = Real;
const VECTOR: bool = false;
alias Vector = vec4<Real>;

const HEAD_DIM: u32 = 64;
const WORKGROUP: u32 = 64;

struct Params {
  batch: u32,
  heads: u32,
  query_tokens: u32,
  o_batch_stride: u32,
  o_row_stride: u32,
  o_offset: u32,
  do_batch_stride: u32,
  do_row_stride: u32,
  do_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> o: array<Element>;
@group(0) @binding(2) var<storage, read> d_o: array<Element>;
@group(0) @binding(3) var<storage, read_write> delta: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn compute_delta(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) workgroups: vec3u) {
  let index = id.y * workgroups.x * WORKGROUP + id.x;
  let head = index % params.heads;
  let query = index / params.heads % params.query_tokens;
  let batch = index / params.heads / params.query_tokens;
  if (batch >= params.batch) {
    return;
  }
  let o_at = params.o_offset + batch * params.o_batch_stride + query * params.o_row_stride + head * HEAD_DIM;
  let do_at = params.do_offset + batch * params.do_batch_stride + query * params.do_row_stride + head * HEAD_DIM;
  var sum = 0.0;
  if (VECTOR) {
    var sums = vec4f();
    for (var d = 0u; d < HEAD_DIM / 4u; d++) {
      sums = fma(vec4f(Vector(o[o_at / 4u + d])), vec4f(Vector(d_o[do_at / 4u + d])), sums);
    }
    sum = (sums.x + sums.y) + (sums.z + sums.w);
  } else {
    for (var d = 0u; d < HEAD_DIM; d++) {
      sum = fma(f32(Vector(o[o_at + d]).x), f32(Vector(d_o[do_at + d]).x), sum);
    }
  }
  delta[(batch * params.heads + head) * params.query_tokens + query] = sum;
}
