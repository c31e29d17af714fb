// Ordered sums: the same input gives the same bits, whatever the driver does.
//
//   sum_slabs   out[c] = (out[c] +) Σ_s partial[s, c]          slabs in ascending order, one invocation a column
//   partial_sum out[p] = scale · Σ_{i in part p} f(x[i])       part p is a contiguous run; f is x, x² or x·y (DOT)
//   final_sum   out[0] = (out[0] +) Σ_p partial[p]             parts in ascending order
//   column_slabs out[s, c] = Σ_{r in slab s} x[r, c]           slab s is `run` rows
//   row_sums    out[r] = (out[r] +) scale · Σ_c x[r, c]        one workgroup a row
//
// Shapes: partial is slabs × columns or parts; x has `length` values, or is length/columns rows × columns.
// Picture: length is cut into `columns` parts of `run` values; a workgroup sums one part by strided lanes and a tree.

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
