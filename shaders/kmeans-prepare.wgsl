// What the k-means assignment kernels read besides the points: padded rows, centroid norms, centroid panels. Also
// points of unit length, and a check of points.
//
//   rows           padded[r, c]       = r < source_rows and c < columns ? Real(source[r, c]) : 0
//   norms_of_rows  norms[j]           = Σ_c Real(source[j, c])², 3e38 for the padding j ≥ source_rows (it never wins)
//   panels         panel[g, k, lane]  = source[g·LANES + lane, 4k … 4k+3], zeros for the padding
//   normalise      unit[r, :]         scaled to length 1, in place (rows of zeros stay)
//   first_bad      bad[0]             = min(bad[0], first_row + first row with a NaN or an infinity)
//
// Shapes:   source and unit are source_rows × columns (f32); padded is target_rows × stride; norms is target_rows;
//           panel is ⌈target_rows / LANES⌉ × columns/4 × LANES vectors, columns a multiple of 4; bad is one value.
// Bindings: 0 params, 1 source, 2 padded, 3 norms, 4 panel, 5 unit, 6 bad (rows: 0, 1, 2; norms_of_rows: 0, 1, 3;
//           panels: 0, 1, 4; normalise: 0, 5; first_bad: 0, 1, 6).
// Dispatch: rows: an invocation for each value of padded; panels: for each vector of panel; norms_of_rows, normalise,
//           first_bad: for each row. All in workgroups of WORKGROUP, folded into x × y.
//
//   rows, panels                          | value 0: lane 0 | value 1: lane 1 | …     in the order of padded and panel
//   panel, group g                        | k = 0: LANES rows, a vector each | k = 1: … | …
//   norms_of_rows, normalise, first_bad   | row 0: lane 0, columns in order |
//                                         | row 1: lane 1, columns in order |
//
// Source:   this project's: the layouts that its assignment kernels want.

alias Real = f32;
const WORKGROUP: u32 = 64;
const LANES: u32 = 8;

struct Params {
  source_rows: u32,
  columns: u32,
  target_rows: u32,
  stride: u32,
  // Number of the first row, for messages about chunked points.
  first_row: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> padded: array<Real>;
@group(0) @binding(3) var<storage, read_write> norms: array<f32>;
@group(0) @binding(4) var<storage, read_write> panel: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> unit: array<f32>;
@group(0) @binding(6) var<storage, read_write> bad: array<atomic<u32>>;

fn linear(id: vec3<u32>, groups: vec3<u32>) -> u32 {
  return id.x + id.y * groups.x * WORKGROUP;
}

@compute @workgroup_size(WORKGROUP)
fn rows(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let at = linear(id, groups);
  if (at >= params.target_rows * params.stride) { return; }
  let row = at / params.stride;
  let column = at % params.stride;
  var value = 0.0;
  if (row < params.source_rows && column < params.columns) { value = source[row * params.columns + column]; }
  padded[at] = Real(value);
}

@compute @workgroup_size(WORKGROUP)
fn norms_of_rows(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear(id, groups);
  if (row >= params.target_rows) { return; }
  var sum = 3e38;
  if (row < params.source_rows) {
    sum = 0.0;
    for (var c = 0u; c < params.columns; c++) {
      let value = f32(Real(source[row * params.columns + c]));
      sum = fma(value, value, sum);
    }
  }
  norms[row] = sum;
}

@compute @workgroup_size(WORKGROUP)
fn panels(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let at = linear(id, groups);
  let vectors = params.columns / 4u;
  let lane = at % LANES;
  let k = at / LANES % vectors;
  let row = at / LANES / vectors * LANES + lane;
  if (row >= params.target_rows) { return; }
  var value = vec4<f32>();
  if (row < params.source_rows) {
    let begin = row * params.columns + k * 4u;
    value = vec4<f32>(source[begin], source[begin + 1u], source[begin + 2u], source[begin + 3u]);
  }
  panel[at] = value;
}

@compute @workgroup_size(WORKGROUP)
fn normalise(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear(id, groups);
  if (row >= params.source_rows) { return; }
  let start = row * params.columns;
  // Scaled by the largest magnitude, so that squares neither overflow nor vanish.
  var largest = 0.0;
  for (var c = 0u; c < params.columns; c++) { largest = max(largest, abs(unit[start + c])); }
  if (largest == 0.0) { return; }
  var sum = 0.0;
  for (var c = 0u; c < params.columns; c++) {
    let value = unit[start + c] / largest;
    sum = fma(value, value, sum);
  }
  let length = sqrt(sum);
  for (var c = 0u; c < params.columns; c++) { unit[start + c] = unit[start + c] / largest / length; }
}

@compute @workgroup_size(WORKGROUP)
fn first_bad(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let row = linear(id, groups);
  if (row >= params.source_rows) { return; }
  var found = false;
  for (var c = 0u; c < params.columns; c++) {
    // By bit pattern: compilers may assume that no value is NaN.
    found = found || (bitcast<u32>(source[row * params.columns + c]) & 0x7f800000u) == 0x7f800000u;
  }
  if (found) { atomicMin(&bad[0], params.first_row + row); }
}
