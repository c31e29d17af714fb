// Root-mean-square normalisation of rows (Zhang & Sennrich 2019), forward and backward.
//
//   forward        y[r,c]    = x[r,c] · s[r] · g[c]         s[r] = 1 / sqrt(mean_c x[r,c]² + epsilon)
//   backward       dx[r,c]   = s·(dy·g)[r,c] − x[r,c] · s³/columns · Σ_c (dy·g·x)[r,c]
//   backward_gain  dg[slab,c] = Σ_{r in slab} dy[r,c] · x[r,c] · s[r]      (slabs are added in order afterwards)
//
// Shapes: x, y, dy, dx are rows × columns; gain is columns; scale holds s, one per row; dg is slabs × columns.
// Picture: `forward` and `backward` give each row to one workgroup whose invocations stride over the columns
// and meet in a tree of sums; `backward_gain` gives each column of a slab of rows to one invocation.

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
