// Matrix product shaped for software (CPU) drivers:  C = act(alpha * op(A) op(B) + bias) + residual
//
//   op(A): m x k, stored m x k (or k x m with TRANSPOSE_A), row stride lda
//   op(B): k x n, stored k x n (or n x k with TRANSPOSE_B), row stride ldb
//   C:     m x n, row stride ldc; bias: n; residual: laid out as C
//   Every product is repeated over a batch; strides are in elements, 0 shares a matrix.
//
// Bindings: 0 params, 1 a, 2 b, 3 c, 4 bias, 5 residual, 6 batch_index (unused ones take any buffer).
// Every storage buffer is padded to a multiple of four elements.
// Dispatch: ceil(n / TILE_COLUMNS) x ceil(m / TILE_ROWS) x batch * split_k,
// the first two exchanged with ROWS_FIRST.
//
// A software driver runs one invocation per SIMD lane. What costs there is a load whose address
// differs from lane to lane; barriers and workgroup memory cost more than they save.
//
//            lane 0      lane 1    ...  lane 7   | lane 0 ...        One subgroup computes
//          +----------+----------+----+---------+----              TILE_ROWS x (LANES * 4 * TILE_VECTORS)
//   k  B   |  vec4    |  vec4    |    |  vec4   | TILE_VECTORS      results, all in registers.
//          +----------+----------+----+---------+----
//   A row  | one load spreads 8 rows x 4 steps of A over the lanes; a shuffle with a constant lane
//          | hands each value to all of them, so an A value costs 1/8 of a lane-varying load.
//
// Each result is one f32 accumulator, updated by fma in ascending k: tile sizes never change a bit.
// Source: the outer-product register blocking of Goto & van de Geijn (2008), lanes in place of SIMD
// registers; SPREAD_A is this project's, from reading the machine code that Mesa's llvmpipe makes.
enable subgroups;

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

const LANES: u32 = 8u; // the subgroup size
const TILE_ROWS: u32 = 16u; // a multiple of 8
const TILE_VECTORS: u32 = 1u;
const SPREAD_A: bool = true; // false: every lane loads A itself, for drivers with cheap uniform loads
const ROWS_FIRST: bool = false; // neighbouring workgroups share B rather than A

const TILE_COLUMNS: u32 = LANES * 4u * TILE_VECTORS;
const ROW_GROUPS: u32 = TILE_ROWS / 8u;
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

fn load_a(element: u32) -> f32 { return f32(a[element >> 2u][element & 3u]); }
fn load_b(element: u32) -> f32 { return f32(b[element >> 2u][element & 3u]); }

// Four neighbours of a row that starts at `base`; past `extent` the last one is repeated.
fn load_a4(base: u32, column: u32, extent: u32) -> vec4f {
  if (VECTOR_A) {
    return vec4f(a[(base + select(min(column, extent - 4u), column, ALIGNED)) >> 2u]);
  }
  let last = select(extent - 1u, 0xffffffffu, ALIGNED);
  return vec4f(load_a(base + min(column, last)), load_a(base + min(column + 1u, last)),
               load_a(base + min(column + 2u, last)), load_a(base + min(column + 3u, last)));
}
fn load_b4(base: u32, column: u32, extent: u32) -> vec4f {
  if (VECTOR_B) {
    return vec4f(b[(base + select(min(column, extent - 4u), column, ALIGNED)) >> 2u]);
  }
  let last = select(extent - 1u, 0xffffffffu, ALIGNED);
  return vec4f(load_b(base + min(column, last)), load_b(base + min(column + 1u, last)),
               load_b(base + min(column + 2u, last)), load_b(base + min(column + 3u, last)));
}

// Four steps of k for one row and one vec4 of columns, so that a sum is fetched and put back once.
fn four_steps(x: vec4f, b_steps: array<vec4f, 4>, sum: vec4f) -> vec4f {
  return fma(vec4f(x.w), b_steps[3], fma(vec4f(x.z), b_steps[2], fma(vec4f(x.y), b_steps[1], fma(vec4f(x.x), b_steps[0], sum))));
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

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let tile = select(workgroup.xy, workgroup.yx, ROWS_FIRST);
  let first_column = tile.x * TILE_COLUMNS;
  let first_row = tile.y * TILE_ROWS;
  let z = workgroup.z % params.batch;
  let slice = workgroup.z / params.batch;
  let last_row = params.m - 1u;
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

  // Where this lane's share of A begins, for each group of 8 rows: one row of 4 steps,
  // or (transposed) 4 rows of one step.
  var spread_a: array<u32, ROW_GROUPS>;
  for (var g = 0u; g < ROW_GROUPS; g++) {
    let row = first_row + g * 8u + select(lane & 7u, (lane & 1u) * 4u, TRANSPOSE_A);
    spread_a[g] = select(min(row, last_row), row, ALIGNED || TRANSPOSE_A);
  }

  // Indexed by loop counters alone, each as long as its loop: then drivers unroll the loops and keep
  // the array in registers.
  var sums: array<array<array<vec4f, TILE_VECTORS>, 8>, ROW_GROUPS>;
  let k_whole = select(k_begin + (k_end - k_begin) / 4u * 4u, k_end, ALIGNED);
  for (var k = k_begin; k < k_whole; k += 4u) {
    // four steps of B for this lane's columns
    var b_tile: array<array<vec4f, 4>, TILE_VECTORS>;
    for (var v = 0u; v < TILE_VECTORS; v++) {
      let column = first_column + (v * LANES + lane) * 4u;
      if (TRANSPOSE_B) {
        var quad: array<vec4f, 4>;
        for (var j = 0u; j < 4u; j++) {
          let row = select(min(column + j, params.n - 1u), column + j, ALIGNED);
          quad[j] = load_b4(base_b + row * params.ldb, k, params.k);
        }
        for (var step = 0u; step < 4u; step++) {
          b_tile[v][step] = vec4f(quad[0][step], quad[1][step], quad[2][step], quad[3][step]);
        }
      } else {
        for (var step = 0u; step < 4u; step++) {
          b_tile[v][step] = load_b4(base_b + (k + step) * params.ldb, column, params.n);
        }
      }
    }
    if (SPREAD_A) {
      for (var g = 0u; g < ROW_GROUPS; g++) {
        var share: vec4f;
        if (TRANSPOSE_A) {
          share = load_a4(base_a + (k + ((lane >> 1u) & 3u)) * params.lda, spread_a[g], params.m);
        } else {
          share = load_a4(base_a + spread_a[g] * params.lda, k, params.k);
        }
        for (var r = 0u; r < 8u; r++) {
          var x: vec4f;
          for (var step = 0u; step < 4u; step++) {
            if (TRANSPOSE_A) {
              x[step] = subgroupShuffle(share[r & 3u], step * 2u + (r >> 2u));
            } else {
              x[step] = subgroupShuffle(share[step], r);
            }
          }
          for (var v = 0u; v < TILE_VECTORS; v++) {
            sums[g][r][v] = four_steps(x, b_tile[v], sums[g][r][v]);
          }
        }
      }
    } else {
      for (var g = 0u; g < ROW_GROUPS; g++) {
        for (var r = 0u; r < 8u; r++) {
          let i = first_row + g * 8u + r;
          let row = select(min(i, last_row), i, ALIGNED);
          var x: vec4f;
          if (TRANSPOSE_A) {
            for (var step = 0u; step < 4u; step++) { x[step] = load_a(base_a + (k + step) * params.lda + row); }
          } else {
            x = load_a4(base_a + row * params.lda, k, params.k);
          }
          for (var v = 0u; v < TILE_VECTORS; v++) { sums[g][r][v] = four_steps(x, b_tile[v], sums[g][r][v]); }
        }
      }
    }
  }

  // the last one to three steps
  if (!ALIGNED) {
    for (var k = k_whole; k < k_end; k++) {
      for (var v = 0u; v < TILE_VECTORS; v++) {
        let column = first_column + (v * LANES + lane) * 4u;
        var x: vec4f;
        if (TRANSPOSE_B) {
          for (var j = 0u; j < 4u; j++) { x[j] = load_b(base_b + min(column + j, params.n - 1u) * params.ldb + k); }
        } else {
          x = load_b4(base_b + k * params.ldb, column, params.n);
        }
        for (var g = 0u; g < ROW_GROUPS; g++) {
          for (var r = 0u; r < 8u; r++) {
            let row = min(first_row + g * 8u + r, last_row);
            let y = load_a(base_a + select(row * params.lda + k, k * params.lda + row, TRANSPOSE_A));
            sums[g][r][v] = fma(vec4f(y), x, sums[g][r][v]);
          }
        }
      }
    }
  }

  // Written by a loop that no driver unrolls, because it begins where no compiler knows: the code to finish and write
  // a row, sixteen times over, took most of the time in which a CPU driver compiles this kernel. The rows are copied
  // for it, since an array that is indexed at run time lies in memory, where the loop above could not keep the sums.
  var results: array<array<vec4f, TILE_VECTORS>, TILE_ROWS>;
  for (var g = 0u; g < ROW_GROUPS; g++) {
    for (var r = 0u; r < 8u; r++) { results[g * 8u + r] = sums[g][r]; }
  }
  let end_row = select(min(first_row + TILE_ROWS, params.m), first_row + TILE_ROWS, ALIGNED);
  for (var row = first_row; row < end_row; row++) {
    var base = z * params.stride_c + row * params.ldc;
    if (PARTIAL) { base = ((slice * params.batch + z) * params.m + row) * params.n; }
    for (var v = 0u; v < TILE_VECTORS; v++) {
      let column = first_column + (v * LANES + lane) * 4u;
      if (ALIGNED || column < params.n) { store_c4(base, column, results[row - first_row][v]); }
    }
  }
}
