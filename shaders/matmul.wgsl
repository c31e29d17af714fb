// Matrix product for GPUs:  C = act(alpha * op(A) op(B) + bias) + residual
//
//   op(A): m x k, stored m x k (or k x m with TRANSPOSE_A), row stride lda
//   op(B): k x n, stored k x n (or n x k with TRANSPOSE_B), row stride ldb
//   C:     m x n, row stride ldc; bias: n; residual: laid out as C
//   Every product is repeated over a batch; strides are in elements, 0 shares a matrix.
//
// Bindings: 0 params, 1 a, 2 b, 3 c, 4 bias, 5 residual, 6 batch_index (unused ones take any buffer).
// Every storage buffer is padded to a multiple of four elements.
// Dispatch: ceil(n / TILE_N) x ceil(m / TILE_M) x batch * split_k.
//
//                      TILE_N                A workgroup makes a TILE_M x TILE_N tile of C. It walks k in
//               +----------------+           steps of TILE_K: all threads copy a slab of A and a slab of
//        TILE_K |   slab of B    |           B into workgroup memory (both k-major, so that the inner
//               +----------------+           loop reads vec4s), then each thread multiplies.
//         +---+ +----------------+
//         | s | |  t  .  t  .    |           A thread owns THREAD_ROWS rows and THREAD_VECTORS vec4s
//  TILE_M | l | |  .  .  .  .    |           of columns, the vec4s spread THREADS_X apart so that
//         | a | |  t  .  t  .    |           neighbouring threads touch neighbouring banks.
//         | b | |  .  .  .  .    |
//         +---+ +----------------+
//
// Each result is one f32 accumulator, updated by fma in ascending k: tile sizes never change a bit.
// Source: Volkov & Demmel, "Benchmarking GPUs to Tune Dense Linear Algebra" (2008): register blocking.

alias Real = f32;
alias RealA = Real;
alias RealB = Real;
alias RealC = Real;

const TRANSPOSE_A: bool = false;
const TRANSPOSE_B: bool = false;
const BIAS: bool = false;
const RESIDUAL: bool = false;
const ACTIVATION: u32 = 0u; // 0 none, 1 relu, 2 gelu (tanh form), 3 silu
const ACCUMULATE: bool = false; // add to what C holds
const GROUPED: bool = false; // batch z multiplies by B matrix batch_index[z]
const GROUPED_K: bool = false; // batch z sums over k in batch_index[z] .. batch_index[z + 1]
const PARTIAL: bool = false; // write the raw sum of each slice of k to C as [split_k, batch, m, n]
const ALIGNED: bool = false; // m, n and every range of k are whole numbers of tiles
const VECTOR_A: bool = false; // A's row stride, batch stride and innermost extent are multiples of 4
const VECTOR_B: bool = false;
const VECTOR_C: bool = false;

const THREADS_X: u32 = 16u;
const THREADS_Y: u32 = 8u;
const THREAD_ROWS: u32 = 8u; // a multiple of 4
const THREAD_VECTORS: u32 = 1u;
const TILE_K: u32 = 16u; // a multiple of 4

const THREADS: u32 = THREADS_X * THREADS_Y;
const TILE_M: u32 = THREADS_Y * THREAD_ROWS;
const TILE_N: u32 = THREADS_X * THREAD_VECTORS * 4u;
const SLAB_A: u32 = TILE_K * TILE_M / 4u; // in vec4s
const SLAB_B: u32 = TILE_K * TILE_N / 4u;
const STRIDE_A: u32 = TILE_M / 4u;
const STRIDE_B: u32 = TILE_N / 4u;
const SLICE_QUANTUM: u32 = 32u; // slices of k begin at multiples of this, whatever the tile

struct Params {
  m: u32, n: u32, k: u32, batch: u32,
  stride_a: u32, stride_b: u32, stride_c: u32, split_k: u32,
  lda: u32, ldb: u32, ldc: u32, alpha: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<RealA>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<RealB>>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4<RealC>>;
@group(0) @binding(4) var<storage, read> bias: array<Real>;
@group(0) @binding(5) var<storage, read> residual: array<vec4<RealC>>;
@group(0) @binding(6) var<storage, read> batch_index: array<u32>;

var<workgroup> slab_a: array<vec4f, SLAB_A>; // [TILE_K][TILE_M]
var<workgroup> slab_b: array<vec4f, SLAB_B>; // [TILE_K][TILE_N]

fn load_a(element: u32) -> f32 { return f32(a[element >> 2u][element & 3u]); }
fn load_b(element: u32) -> f32 { return f32(b[element >> 2u][element & 3u]); }

// Four neighbours of row `row` beginning at `column`, a multiple of 4; zero outside rows x columns. Where vectors are
// read, `columns` is a multiple of 4 too, so that a vector lies inside as a whole or not at all.
fn load_a4(base: u32, row: u32, column: u32, rows: u32, columns: u32) -> vec4f {
  let at = base + row * params.lda + column;
  var x = vec4f();
  if (VECTOR_A) {
    if (ALIGNED || (row < rows && column < columns)) { x = vec4f(a[at >> 2u]); }
    return x;
  }
  if (ALIGNED || row < rows) {
    if (ALIGNED || column < columns) { x.x = load_a(at); }
    if (ALIGNED || column + 1u < columns) { x.y = load_a(at + 1u); }
    if (ALIGNED || column + 2u < columns) { x.z = load_a(at + 2u); }
    if (ALIGNED || column + 3u < columns) { x.w = load_a(at + 3u); }
  }
  return x;
}
fn load_b4(base: u32, row: u32, column: u32, rows: u32, columns: u32) -> vec4f {
  let at = base + row * params.ldb + column;
  var x = vec4f();
  if (VECTOR_B) {
    if (ALIGNED || (row < rows && column < columns)) { x = vec4f(b[at >> 2u]); }
    return x;
  }
  if (ALIGNED || row < rows) {
    if (ALIGNED || column < columns) { x.x = load_b(at); }
    if (ALIGNED || column + 1u < columns) { x.y = load_b(at + 1u); }
    if (ALIGNED || column + 2u < columns) { x.z = load_b(at + 2u); }
    if (ALIGNED || column + 3u < columns) { x.w = load_b(at + 3u); }
  }
  return x;
}

// Copies the slabs that begin at step k of the sum. An operand whose memory runs along k is transposed
// on the way, four by four.
fn load_slabs(thread: u32, base_a: u32, base_b: u32, first_row: u32, first_column: u32, k: u32, k_end: u32) {
  if (TRANSPOSE_A) {
    for (var i = thread; i < SLAB_A; i += THREADS) {
      slab_a[i] = load_a4(base_a, k + i / STRIDE_A, first_row + i % STRIDE_A * 4u, k_end, params.m);
    }
  } else {
    for (var i = thread; i < SLAB_A / 4u; i += THREADS) {
      let row = i / (TILE_K / 4u) * 4u;
      let step = i % (TILE_K / 4u) * 4u;
      let q = transpose(mat4x4f(
        load_a4(base_a, first_row + row, k + step, params.m, k_end),
        load_a4(base_a, first_row + row + 1u, k + step, params.m, k_end),
        load_a4(base_a, first_row + row + 2u, k + step, params.m, k_end),
        load_a4(base_a, first_row + row + 3u, k + step, params.m, k_end)));
      slab_a[step * STRIDE_A + row / 4u] = q[0];
      slab_a[(step + 1u) * STRIDE_A + row / 4u] = q[1];
      slab_a[(step + 2u) * STRIDE_A + row / 4u] = q[2];
      slab_a[(step + 3u) * STRIDE_A + row / 4u] = q[3];
    }
  }
  if (TRANSPOSE_B) {
    for (var i = thread; i < SLAB_B / 4u; i += THREADS) {
      let column = i / (TILE_K / 4u) * 4u;
      let step = i % (TILE_K / 4u) * 4u;
      let q = transpose(mat4x4f(
        load_b4(base_b, first_column + column, k + step, params.n, k_end),
        load_b4(base_b, first_column + column + 1u, k + step, params.n, k_end),
        load_b4(base_b, first_column + column + 2u, k + step, params.n, k_end),
        load_b4(base_b, first_column + column + 3u, k + step, params.n, k_end)));
      slab_b[step * STRIDE_B + column / 4u] = q[0];
      slab_b[(step + 1u) * STRIDE_B + column / 4u] = q[1];
      slab_b[(step + 2u) * STRIDE_B + column / 4u] = q[2];
      slab_b[(step + 3u) * STRIDE_B + column / 4u] = q[3];
    }
  } else {
    for (var i = thread; i < SLAB_B; i += THREADS) {
      slab_b[i] = load_b4(base_b, k + i / STRIDE_B, first_column + i % STRIDE_B * 4u, k_end, params.n);
    }
  }
}

fn activate(x: f32) -> f32 {
  if (ACTIVATION == 1u) { return max(x, 0.0); }
  if (ACTIVATION == 2u) { // clamped because tanh of large arguments overflows on some drivers
    return 0.5 * x * (1.0 + tanh(clamp(0.7978845608 * (x + 0.044715 * x * x * x), -15.0, 15.0)));
  }
  if (ACTIVATION == 3u) { return x / (1.0 + exp(-x)); }
  return x;
}

fn finish(sum: f32, column: u32) -> f32 {
  var x = params.alpha * sum;
  if (BIAS) { x += f32(bias[column]); }
  return activate(x);
}

// Writes four neighbouring results whose first is in range.
fn store_c4(base: u32, column: u32, sum: vec4f) {
  if (VECTOR_C) {
    let at = (base + column) >> 2u;
    if (PARTIAL) { c[at] = vec4<RealC>(sum); return; }
    var x = vec4f(finish(sum.x, column), finish(sum.y, column + 1u), finish(sum.z, column + 2u), finish(sum.w, column + 3u));
    if (RESIDUAL) { x += vec4f(residual[at]); }
    if (ACCUMULATE) { x += vec4f(c[at]); }
    c[at] = vec4<RealC>(x);
    return;
  }
  for (var j = 0u; j < 4u; j++) {
    if (column + j < params.n) {
      let at = base + column + j;
      var x = sum[j];
      if (!PARTIAL) {
        x = finish(x, column + j);
        if (RESIDUAL) { x += f32(residual[at >> 2u][at & 3u]); }
        if (ACCUMULATE) { x += f32(c[at >> 2u][at & 3u]); }
      }
      c[at >> 2u][at & 3u] = RealC(x);
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first_column = workgroup.x * TILE_N;
  let first_row = workgroup.y * TILE_M;
  let z = workgroup.z % params.batch;
  let slice = workgroup.z / params.batch;
  let base_a = z * params.stride_a;
  var matrix_b = z;
  if (GROUPED) { matrix_b = batch_index[z]; }
  let base_b = matrix_b * params.stride_b;

  var k_begin = 0u;
  var k_end = params.k;
  if (GROUPED_K) { k_begin = batch_index[z]; k_end = batch_index[z + 1u]; }
  if (PARTIAL) {
    let quanta = (k_end - k_begin + SLICE_QUANTUM - 1u) / SLICE_QUANTUM;
    let length = (quanta + params.split_k - 1u) / params.split_k * SLICE_QUANTUM;
    let k_last = k_end;
    k_begin = min(k_begin + slice * length, k_last);
    k_end = min(k_begin + length, k_last);
  }

  let x = thread % THREADS_X;
  let y = thread / THREADS_X;
  var sums: array<array<vec4f, THREAD_VECTORS>, THREAD_ROWS>;
  for (var k = k_begin; k < k_end; k += TILE_K) {
    load_slabs(thread, base_a, base_b, first_row, first_column, k, k_end);
    workgroupBarrier();
    for (var step = 0u; step < TILE_K; step++) {
      var b_row: array<vec4f, THREAD_VECTORS>;
      for (var v = 0u; v < THREAD_VECTORS; v++) { b_row[v] = slab_b[step * STRIDE_B + v * THREADS_X + x]; }
      for (var g = 0u; g < THREAD_ROWS / 4u; g++) {
        let a_rows = slab_a[step * STRIDE_A + y * (THREAD_ROWS / 4u) + g];
        for (var v = 0u; v < THREAD_VECTORS; v++) {
          sums[g * 4u][v] = fma(vec4f(a_rows.x), b_row[v], sums[g * 4u][v]);
          sums[g * 4u + 1u][v] = fma(vec4f(a_rows.y), b_row[v], sums[g * 4u + 1u][v]);
          sums[g * 4u + 2u][v] = fma(vec4f(a_rows.z), b_row[v], sums[g * 4u + 2u][v]);
          sums[g * 4u + 3u][v] = fma(vec4f(a_rows.w), b_row[v], sums[g * 4u + 3u][v]);
        }
      }
    }
    workgroupBarrier();
  }

  for (var i = 0u; i < THREAD_ROWS; i++) {
    let row = first_row + y * THREAD_ROWS + i;
    if (ALIGNED || row < params.m) {
      var base = z * params.stride_c + row * params.ldc;
      if (PARTIAL) { base = ((slice * params.batch + z) * params.m + row) * params.n; }
      for (var v = 0u; v < THREAD_VECTORS; v++) {
        let column = first_column + (v * THREADS_X + x) * 4u;
        if (ALIGNED || column < params.n) { store_c4(base, column, sums[i][v]); }
      }
    }
  }
}
