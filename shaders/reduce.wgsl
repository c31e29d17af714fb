// Ordered sums: the same input gives the same bits, whatever the driver does.
//
//   sum_slabs   output[c] = (output[c] +) Σ_s partial[s, c]    slabs in ascending order
//   partial_sum output[p] = scale · Σ_{i in part p} f(x[i])    part p is a run of `run` values; f is x, x² or x·y (DOT)
//   final_sum   output[0] = (output[0] +) Σ_p partial[p]       `length` parts
//   column_slabs output[s, c] = Σ_{r in slab s} x[r, c]        slab s is `run` rows, in ascending order
//   row_sums    output[r] = (output[r] +) scale · Σ_c x[r, c]
//
// Shapes:   partial is slabs × columns (sum_slabs) or length (final_sum); x has `length` values, or is
//           length/columns × columns; y has `length` values.
// Bindings: 0 params, 1 partial, 2 x, 3 output, 4 y (sum_slabs, final_sum: 0, 1, 3; column_slabs, row_sums: 0, 2, 3;
//           partial_sum: 0, 2, 3, 4, the last any buffer without DOT).
// Dispatch: sum_slabs: ⌈columns / WORKGROUP⌉; partial_sum: one workgroup a part, in x; final_sum: 1;
//           column_slabs: ⌈columns / WORKGROUP⌉ × slabs; row_sums: one workgroup a row, folded into x × y.
//
//   sum_slabs, column_slabs            | column 0: lane 0 | column 1: lane 1 | …    one lane a column, down the rows
//   partial_sum, final_sum, row_sums   | lane 0 | lane 1 | … | lane 0 | …           one workgroup a part, all or a row:
//                                      a lane adds value l, l + WORKGROUP, …, then a tree: lane l takes in l + stride,
//                                      stride = WORKGROUP / 2, …, 2, 1
//
// Source:   the tree of Harris, "Optimizing Parallel Reduction in CUDA" (2007), sequential addressing; parts
//           that depend on the shape alone are this project's.

alias Real = f32;
const WORKGROUP: u32 = 64;
const SQUARE: bool = false;
const DOT: bool = false;
// Add to what the output holds instead of replacing it.
const ACCUMULATE: bool = false;

struct Params {
  slabs: u32,
  columns: u32,
  length: u32,
  run: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<Real>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(4) var<storage, read> y: array<f32>;

var<workgroup> lanes: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn sum_slabs(@builtin(global_invocation_id) id: vec3<u32>) {
  let column = id.x;
  if (column >= params.columns) { return; }
  var sum = 0.0;
  if (ACCUMULATE) { sum = output[column]; }
  for (var slab = 0u; slab < params.slabs; slab++) {
    sum += partial[slab * params.columns + column];
  }
  output[column] = sum;
}

fn workgroup_sum(value: f32, lane: u32) -> f32 {
  lanes[lane] = value;
  workgroupBarrier();
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    if (lane < stride) {
      lanes[lane] += lanes[lane + stride];
    }
    workgroupBarrier();
  }
  return lanes[0];
}

@compute @workgroup_size(WORKGROUP)
fn partial_sum(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * params.run;
  let last = min(first + params.run, params.length);
  var sum = 0.0;
  for (var i = first + lane; i < last; i += WORKGROUP) {
    var value = f32(x[i]);
    if (SQUARE) { value *= value; }
    if (DOT) { value *= y[i]; }
    sum += value;
  }
  let total = workgroup_sum(sum, lane);
  if (lane == 0u) { output[group.x] = total * params.scale; }
}

@compute @workgroup_size(WORKGROUP)
fn final_sum(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < params.length; i += WORKGROUP) { sum += partial[i]; }
  let total = workgroup_sum(sum, lane);
  if (lane == 0u) {
    if (ACCUMULATE) { output[0] += total; } else { output[0] = total; }
  }
}

@compute @workgroup_size(WORKGROUP)
fn column_slabs(@builtin(global_invocation_id) id: vec3<u32>) {
  let column = id.x;
  if (column >= params.columns) { return; }
  let rows = params.length / params.columns;
  let last = min((id.y + 1u) * params.run, rows);
  var sum = 0.0;
  for (var row = id.y * params.run; row < last; row++) {
    sum += f32(x[row * params.columns + column]);
  }
  output[id.y * params.columns + column] = sum;
}

@compute @workgroup_size(WORKGROUP)
fn row_sums(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * groups.x;
  if (row * params.columns >= params.length) { return; }
  var sum = 0.0;
  for (var c = lane; c < params.columns; c += WORKGROUP) { sum += f32(x[row * params.columns + c]); }
  let total = workgroup_sum(sum, lane) * params.scale;
  if (lane == 0u) {
    if (ACCUMULATE) { output[row] += total; } else { output[row] = total; }
  }
}
