// Second pass of a split-K matrix product: adds the partial sums and applies the epilogue.
//
//   C[z, i, j] = act(alpha * sum_s partial[s, z, i, j] + bias[j]) + residual[z, i, j]   (+ C if ACCUMULATE)
//
// partial: f32 [split_k, batch, m, n], written by a matmul kernel with PARTIAL; added in the order of s,
// so the result has the same bits on every run. C and residual: row stride ldc, batch stride stride_c.
// Bindings: 0 params, 1 partial, 3 c, 4 bias, 5 residual (numbered as in matmul.wgsl; unused ones take any buffer).
// Dispatch: ceil(n / WORKGROUP) x m x batch.
//
//   row i of z     | WORKGROUP columns: workgroup (0, i, z) | workgroup (1, i, z) | ..
//   partial, s = 0 |  x  x  x  ..                           |
//            s = 1 |  +  +  +                               |    one invocation a column, down the slices
//            ..    |  v  v  v                               |
//   C              |  act(alpha * sum + bias) + residual    |
//
// Source: the parallel split-K of CUTLASS: a kernel for the slices, one that adds them.
alias Real = f32;
alias RealC = Real;

const BIAS: bool = false;
const RESIDUAL: bool = false;
const ACTIVATION: u32 = 0u; // 0 none, 1 relu, 2 gelu (tanh form), 3 silu
const ACCUMULATE: bool = false;
const WORKGROUP: u32 = 64u;

struct Params {
  m: u32, n: u32, k: u32, batch: u32,
  stride_a: u32, stride_b: u32, stride_c: u32, split_k: u32,
  lda: u32, ldb: u32, ldc: u32, alpha: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<RealC>;
@group(0) @binding(4) var<storage, read> bias: array<Real>;
@group(0) @binding(5) var<storage, read> residual: array<RealC>;

fn activate(x: f32) -> f32 {
  if (ACTIVATION == 1u) { return max(x, 0.0); }
  if (ACTIVATION == 2u) { // clamped because tanh of large arguments overflows on some drivers
    return 0.5 * x * (1.0 + tanh(clamp(0.7978845608 * (x + 0.044715 * x * x * x), -15.0, 15.0)));
  }
  if (ACTIVATION == 3u) { return x / (1.0 + exp(-x)); }
  return x;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) thread: u32) {
  let column = workgroup.x * WORKGROUP + thread;
  let row = workgroup.y;
  let z = workgroup.z;
  if (column >= params.n) { return; }

  let slice_size = params.batch * params.m * params.n;
  var at = (z * params.m + row) * params.n + column;
  var sum = 0.0;
  for (var s = 0u; s < params.split_k; s++) {
    sum += partial[at];
    at += slice_size;
  }

  let out = z * params.stride_c + row * params.ldc + column;
  var x = params.alpha * sum;
  if (BIAS) { x += f32(bias[column]); }
  x = activate(x);
  if (RESIDUAL) { x += f32(residual[out]); }
  if (ACCUMULATE) { x += f32(c[out]); }
  c[out] = RealC(x);
}
