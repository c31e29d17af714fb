// Matrix product on tensor cores (subgroup matrices), f16 in, f32 accumulated:
//
//   C = act(alpha * op(A) op(B) + bias) + residual
//
//   op(A): m x k, stored m x k (or k x m with TRANSPOSE_A), row stride lda
//   op(B): k x n, stored k x n (or n x k with TRANSPOSE_B), row stride ldb
//   C:     m x n, row stride ldc; bias: n; residual: laid out as C
//   Every product is repeated over a batch; strides are in elements, 0 shares a matrix.
//
// Bindings: 0 params, 1 a, 2 b, 3 c, 4 bias, 5 residual, 6 batch_index (unused ones take any buffer).
// Every storage buffer is padded to a multiple of 16 bytes.
// Dispatch: ceil(n / TILE_N) x ceil(m / TILE_M) x batch * split_k.
//
//                    TILE_N = 128            Four subgroups, two by two. Each owns 64 x 64 results as
//             +---------+---------+          4 x 4 tensor-core tiles of 16 x 16, held as accumulators.
//             |  64x64  |  64x64  |          All threads copy slabs of A and B (TILE_K deep, 8 bytes a
//   TILE_M    | sub-    | sub-    |          load, the next slab's loads issued before this slab's
//   = 128     | group 0 | group 1 |          products) into workgroup memory whose rows are padded by
//             +---------+---------+          16 bytes against bank conflicts. A transposed operand stays
//             |    2    |    3    |          as it is stored and is read with col_major loads.
//             +---------+---------+          Edges are filled with zeros while copying.
//
// Results leave through workgroup memory, one accumulator a subgroup at a time, because accumulators
// cannot be read element by element; the epilogue is applied there.
// SUBGROUP_SIZE and MATRIX_M, _N, _K must be those of one of the adapter's subgroupMatrixConfigs with
// f16 operands and f32 results. Only matrix operations and workgroup memory are used: some NVIDIA
// drivers fail on modules that also use subgroup arithmetic.
// Source: the block geometry of ONNX Runtime's and CUTLASS's 128x128x32 kernels for 16x16x16 tiles.
diagnostic(off, chromium.subgroup_matrix_uniformity);
enable f16;
enable chromium_experimental_subgroup_matrix;

alias Real = f16; // of bias
alias RealC = f16; // of c and residual: f16 or f32

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
const VECTOR_C: bool = false; // C likewise

const MATRIX_M: u32 = 16u;
const MATRIX_N: u32 = 16u;
const MATRIX_K: u32 = 16u;
const SUBGROUP_SIZE: u32 = 32u;
const SUBGROUP_ROWS: u32 = 2u;
const SUBGROUP_COLUMNS: u32 = 2u;
const MATRIX_ROWS: u32 = 4u; // accumulators of one subgroup, down and across
const MATRIX_COLUMNS: u32 = 4u;
const TILE_K: u32 = 32u; // a multiple of MATRIX_K that divides 32

const SUBGROUPS: u32 = SUBGROUP_ROWS * SUBGROUP_COLUMNS;
const THREADS: u32 = SUBGROUPS * SUBGROUP_SIZE;
const SUBGROUP_M: u32 = MATRIX_ROWS * MATRIX_M;
const SUBGROUP_N: u32 = MATRIX_COLUMNS * MATRIX_N;
const TILE_M: u32 = SUBGROUP_ROWS * SUBGROUP_M;
const TILE_N: u32 = SUBGROUP_COLUMNS * SUBGROUP_N;
const SLICE_QUANTUM: u32 = 32u; // slices of k begin at multiples of this, whatever the tile

// Slabs keep the operand's own orientation. Rows are counted in vec4<f16>, 8 bytes.
const ROWS_A: u32 = select(TILE_M, TILE_K, TRANSPOSE_A);
const VECTORS_A: u32 = select(TILE_K, TILE_M, TRANSPOSE_A) / 4u;
const ROWS_B: u32 = select(TILE_K, TILE_N, TRANSPOSE_B);
const VECTORS_B: u32 = select(TILE_N, TILE_K, TRANSPOSE_B) / 4u;
const STRIDE_A: u32 = VECTORS_A + 2u;
const STRIDE_B: u32 = VECTORS_B + 2u;
const FETCH_A: u32 = (ROWS_A * VECTORS_A + THREADS - 1u) / THREADS; // vec4s a thread carries
const FETCH_B: u32 = (ROWS_B * VECTORS_B + THREADS - 1u) / THREADS;
const RESULT_SIZE: u32 = MATRIX_M * MATRIX_N;

alias Left = subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>;
alias Right = subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>;
alias Result = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;

struct Params {
  m: u32, n: u32, k: u32, batch: u32,
  stride_a: u32, stride_b: u32, stride_c: u32, split_k: u32,
  lda: u32, ldb: u32, ldc: u32, alpha: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f16>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f16>>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4<RealC>>;
@group(0) @binding(4) var<storage, read> bias: array<Real>;
@group(0) @binding(5) var<storage, read> residual: array<vec4<RealC>>;
@group(0) @binding(6) var<storage, read> batch_index: array<u32>;

var<workgroup> slab_a: array<vec4<f16>, ROWS_A * STRIDE_A>;
var<workgroup> slab_b: array<vec4<f16>, ROWS_B * STRIDE_B>;
var<workgroup> results: array<f32, SUBGROUPS * RESULT_SIZE>;

// Four neighbours of row `row` beginning at `column`; zero outside rows x columns.
fn load_a4(base: u32, row: u32, column: u32, rows: u32, columns: u32) -> vec4<f16> {
  let at = base + row * params.lda + column;
  if (VECTOR_A) {
    if (ALIGNED || (row < rows && column + 3u < columns)) { return a[at >> 2u]; }
  }
  var x = vec4<f16>();
  if (ALIGNED || row < rows) {
    for (var j = 0u; j < 4u; j++) {
      if (ALIGNED || column + j < columns) { x[j] = a[(at + j) >> 2u][(at + j) & 3u]; }
    }
  }
  return x;
}
fn load_b4(base: u32, row: u32, column: u32, rows: u32, columns: u32) -> vec4<f16> {
  let at = base + row * params.ldb + column;
  if (VECTOR_B) {
    if (ALIGNED || (row < rows && column + 3u < columns)) { return b[at >> 2u]; }
  }
  var x = vec4<f16>();
  if (ALIGNED || row < rows) {
    for (var j = 0u; j < 4u; j++) {
      if (ALIGNED || column + j < columns) { x[j] = b[(at + j) >> 2u][(at + j) & 3u]; }
    }
  }
  return x;
}

fn fetch_a(slot: u32, base: u32, first_row: u32, k: u32, k_end: u32) -> vec4<f16> {
  let row = slot / VECTORS_A;
  let column = slot % VECTORS_A * 4u;
  if (TRANSPOSE_A) { return load_a4(base, k + row, first_row + column, k_end, params.m); }
  return load_a4(base, first_row + row, k + column, params.m, k_end);
}
fn fetch_b(slot: u32, base: u32, first_column: u32, k: u32, k_end: u32) -> vec4<f16> {
  let row = slot / VECTORS_B;
  let column = slot % VECTORS_B * 4u;
  if (TRANSPOSE_B) { return load_b4(base, first_column + row, k + column, params.n, k_end); }
  return load_b4(base, k + row, first_column + column, k_end, params.n);
}

fn left_tile(row: u32, step: u32) -> Left {
  if (TRANSPOSE_A) { return subgroupMatrixLoad<Left, col_major>(&slab_a, step * STRIDE_A + row / 4u, STRIDE_A); }
  return subgroupMatrixLoad<Left, row_major>(&slab_a, row * STRIDE_A + step / 4u, STRIDE_A);
}
fn right_tile(step: u32, column: u32) -> Right {
  if (TRANSPOSE_B) { return subgroupMatrixLoad<Right, col_major>(&slab_b, column * STRIDE_B + step / 4u, STRIDE_B); }
  return subgroupMatrixLoad<Right, row_major>(&slab_b, step * STRIDE_B + column / 4u, STRIDE_B);
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

  let subgroup = thread / SUBGROUP_SIZE;
  let own_row = subgroup / SUBGROUP_COLUMNS * SUBGROUP_M;
  let own_column = subgroup % SUBGROUP_COLUMNS * SUBGROUP_N;
  var sums: array<array<Result, MATRIX_COLUMNS>, MATRIX_ROWS>;

  var next_a: array<vec4<f16>, FETCH_A>;
  var next_b: array<vec4<f16>, FETCH_B>;
  for (var i = 0u; i < FETCH_A; i++) { next_a[i] = fetch_a(thread + i * THREADS, base_a, first_row, k_begin, k_end); }
  for (var i = 0u; i < FETCH_B; i++) { next_b[i] = fetch_b(thread + i * THREADS, base_b, first_column, k_begin, k_end); }

  for (var k = k_begin; k < k_end; k += TILE_K) {
    for (var i = 0u; i < FETCH_A; i++) {
      let slot = thread + i * THREADS;
      if (slot < ROWS_A * VECTORS_A) { slab_a[slot / VECTORS_A * STRIDE_A + slot % VECTORS_A] = next_a[i]; }
    }
    for (var i = 0u; i < FETCH_B; i++) {
      let slot = thread + i * THREADS;
      if (slot < ROWS_B * VECTORS_B) { slab_b[slot / VECTORS_B * STRIDE_B + slot % VECTORS_B] = next_b[i]; }
    }
    workgroupBarrier();
    if (k + TILE_K < k_end) {
      for (var i = 0u; i < FETCH_A; i++) { next_a[i] = fetch_a(thread + i * THREADS, base_a, first_row, k + TILE_K, k_end); }
      for (var i = 0u; i < FETCH_B; i++) { next_b[i] = fetch_b(thread + i * THREADS, base_b, first_column, k + TILE_K, k_end); }
    }
    for (var step = 0u; step < TILE_K; step += MATRIX_K) {
      var right: array<Right, MATRIX_COLUMNS>;
      for (var j = 0u; j < MATRIX_COLUMNS; j++) { right[j] = right_tile(step, own_column + j * MATRIX_N); }
      for (var i = 0u; i < MATRIX_ROWS; i++) {
        let left = left_tile(own_row + i * MATRIX_M, step);
        for (var j = 0u; j < MATRIX_COLUMNS; j++) {
          sums[i][j] = subgroupMatrixMultiplyAccumulate(left, right[j], sums[i][j]);
        }
      }
    }
    workgroupBarrier();
  }

  let lane = thread % SUBGROUP_SIZE;
  for (var i = 0u; i < MATRIX_ROWS; i++) {
    for (var j = 0u; j < MATRIX_COLUMNS; j++) {
      subgroupMatrixStore<row_major>(&results, subgroup * RESULT_SIZE, sums[i][j], MATRIX_N);
      workgroupBarrier();
      for (var e = lane * 4u; e < RESULT_SIZE; e += SUBGROUP_SIZE * 4u) {
        let row = first_row + own_row + i * MATRIX_M + e / MATRIX_N;
        let column = first_column + own_column + j * MATRIX_N + e % MATRIX_N;
        if (ALIGNED || (row < params.m && column < params.n)) {
          var base = z * params.stride_c + row * params.ldc;
          if (PARTIAL) { base = ((slice * params.batch + z) * params.m + row) * params.n; }
          let result = subgroup * RESULT_SIZE + e;
          store_c4(base, column, vec4f(results[result], results[result + 1u], results[result + 2u], results[result + 3u]));
        }
      }
      workgroupBarrier();
    }
  }
}
