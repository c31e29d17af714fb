// Softmax of rows, forward and backward.
//
//   forward   y[r,c]  = exp(x[r,c] − max_c x) / Σ_c exp(x[r,c] − max_c x)
//   backward  dx[r,c] = y[r,c] · (dy[r,c] − Σ_c y[r,c]·dy[r,c])
//
// Shapes:   x, y, saved_y, dy, dx are rows × columns.
// Bindings: 0 params, 1 x, 2 y, 3 saved_y, 4 dy, 5 dx (forward: 0, 1, 2; backward: 0, 3, 4, 5).
// Dispatch: forward, backward: one workgroup a row, folded into x × y.
//
//   row r      | lane 0 | lane 1 | … | lane WORKGROUP − 1 | lane 0 | …   column c belongs to lane c mod WORKGROUP
//   workgroup    the lanes meet in trees of maxima (forward) and of sums: lane l takes in l + stride,
//                stride = WORKGROUP / 2, …, 2, 1
//
// Source:   Goodfellow, Bengio & Courville, "Deep Learning" (2016), section 4.1: less the maximum, nothing overflows.

alias Real = f32;
const WORKGROUP: u32 = 64;
const LOWEST: f32 = -3.4028234e38;

struct Params {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real>;
@group(0) @binding(2) var<storage, read_write> y: array<Real>;
@group(0) @binding(3) var<storage, read> saved_y: array<Real>;
@group(0) @binding(4) var<storage, read> dy: array<Real>;
@group(0) @binding(5) var<storage, read_write> dx: array<Real>;

var<workgroup> partial: array<f32, WORKGROUP>;

fn workgroup_max(value: f32, lane: u32) -> f32 {
  partial[lane] = value;
  workgroupBarrier();
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    if (lane < stride) { partial[lane] = max(partial[lane], partial[lane + stride]); }
    workgroupBarrier();
  }
  let result = partial[0];
  // Nobody may overwrite the result before every lane has it.
  workgroupBarrier();
  return result;
}

fn workgroup_sum(value: f32, lane: u32) -> f32 {
  partial[lane] = value;
  workgroupBarrier();
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    if (lane < stride) { partial[lane] += partial[lane + stride]; }
    workgroupBarrier();
  }
  return partial[0];
}

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * groups.x;
  if (row >= params.rows) { return; }
  let start = row * params.columns;
  var largest = LOWEST;
  for (var c = lane; c < params.columns; c += WORKGROUP) { largest = max(largest, f32(x[start + c])); }
  let maximum = workgroup_max(largest, lane);
  var sum = 0.0;
  for (var c = lane; c < params.columns; c += WORKGROUP) { sum += exp(f32(x[start + c]) - maximum); }
  let factor = 1.0 / workgroup_sum(sum, lane);
  for (var c = lane; c < params.columns; c += WORKGROUP) {
    y[start + c] = Real(exp(f32(x[start + c]) - maximum) * factor);
  }
}

@compute @workgroup_size(WORKGROUP)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * groups.x;
  if (row >= params.rows) { return; }
  let start = row * params.columns;
  var sum = 0.0;
  for (var c = lane; c < params.columns; c += WORKGROUP) {
    sum = fma(f32(saved_y[start + c]), f32(dy[start + c]), sum);
  }
  let dot_product = workgroup_sum(sum, lane);
  for (var c = lane; c < params.columns; c += WORKGROUP) {
    dx[start + c] = Real(f32(saved_y[start + c]) * (f32(dy[start + c]) - dot_product));
  }
}
