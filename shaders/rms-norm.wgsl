// Root-mean-square normalisation of rows, forward and backward.
//
//   forward        y[r,c]    = x[r,c] · s[r] · g[c]         s[r] = 1 / sqrt(mean_c x[r,c]² + epsilon)
//   backward       dx[r,c]   = s·(dy·g)[r,c] − x[r,c] · s³/columns · Σ_c (dy·g·x)[r,c]
//   backward_gain  dg[slab,c] = Σ_{r in slab} dy[r,c] · x[r,c] · s[r]      (slabs are added in order afterwards)
//
// Shapes:   x, y, dy, dx are rows × columns; gain (g) is columns; scale and saved_scale hold s, one per row; dg is
//           slabs × columns, a slab being rows_per_slab rows.
// Bindings: 0 params, 1 x, 2 gain, 3 y, 4 scale, 5 dy, 6 saved_scale, 7 dx, 8 dg
//           (forward: 0 to 4; backward: 0, 1, 2, 5, 6, 7; backward_gain: 0, 1, 5, 6, 8).
// Dispatch: forward, backward: one workgroup a row, folded into x × y; backward_gain: ⌈columns / WORKGROUP⌉ × slabs.
//
//   forward,       row r   | lane 0 | lane 1 | … | lane 0 | …   lane l adds columns l, l + WORKGROUP, …, then a tree:
//   backward                                                    it takes in l + stride, stride = WORKGROUP / 2, …, 2, 1
//   backward_gain  slab s  | column 0: lane 0 | column 1 | …    a lane adds one column, rows in ascending order
//
// Source:   Zhang & Sennrich, "Root Mean Square Layer Normalization" (arXiv 1910.07467), equation 4.

alias Real = f32;
// Type of gain: parameters of a mixed-precision model stay f32 here, they are tiny.
alias Gain = f32;
const WORKGROUP: u32 = 64;

struct Params {
  rows: u32,
  columns: u32,
  rows_per_slab: u32,
  epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real>;
@group(0) @binding(2) var<storage, read> gain: array<Gain>;
@group(0) @binding(3) var<storage, read_write> y: array<Real>;
@group(0) @binding(4) var<storage, read_write> scale: array<f32>;
@group(0) @binding(5) var<storage, read> dy: array<Real>;
@group(0) @binding(6) var<storage, read> saved_scale: array<f32>;
@group(0) @binding(7) var<storage, read_write> dx: array<Real>;
@group(0) @binding(8) var<storage, read_write> dg: array<f32>;

var<workgroup> partial: array<f32, WORKGROUP>;

// Sum over the workgroup, in an order that depends on WORKGROUP alone.
fn workgroup_sum(value: f32, lane: u32) -> f32 {
  partial[lane] = value;
  workgroupBarrier();
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    if (lane < stride) {
      partial[lane] += partial[lane + stride];
    }
    workgroupBarrier();
  }
  return partial[0];
}

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * groups.x;
  // The row is the same for the whole workgroup, so leaving here keeps barriers uniform.
  if (row >= params.rows) { return; }
  let start = row * params.columns;
  var sum = 0.0;
  for (var c = lane; c < params.columns; c += WORKGROUP) {
    let value = f32(x[start + c]);
    sum = fma(value, value, sum);
  }
  let s = inverseSqrt(workgroup_sum(sum, lane) / f32(params.columns) + params.epsilon);
  for (var c = lane; c < params.columns; c += WORKGROUP) {
    y[start + c] = Real(f32(x[start + c]) * s * f32(gain[c]));
  }
  if (lane == 0u) { scale[row] = s; }
}

@compute @workgroup_size(WORKGROUP)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * groups.x;
  if (row >= params.rows) { return; }
  let start = row * params.columns;
  var sum = 0.0;
  for (var c = lane; c < params.columns; c += WORKGROUP) {
    sum = fma(f32(dy[start + c]) * f32(gain[c]), f32(x[start + c]), sum);
  }
  let s = saved_scale[row];
  let factor = workgroup_sum(sum, lane) * s * s * s / f32(params.columns);
  for (var c = lane; c < params.columns; c += WORKGROUP) {
    dx[start + c] = Real(f32(dy[start + c]) * f32(gain[c]) * s - f32(x[start + c]) * factor);
  }
}

@compute @workgroup_size(WORKGROUP)
fn backward_gain(@builtin(global_invocation_id) id: vec3<u32>) {
  let column = id.x;
  let slab = id.y;
  if (column >= params.columns) { return; }
  let first = slab * params.rows_per_slab;
  let last = min(first + params.rows_per_slab, params.rows);
  var sum = 0.0;
  for (var row = first; row < last; row++) {
    let at = row * params.columns + column;
    sum = fma(f32(dy[at]) * f32(x[at]), saved_scale[row], sum);
  }
  dg[slab * params.columns + column] = sum;
}
