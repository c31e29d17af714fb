// Embedding: rows of a table by id, and the table's gradient as an ordered sum instead of atomic additions.
//
//   lookup    output[i, :] = table[ids[i], :]                    zeros where ids[i] ≥ rows
//   gradient  dtable[v, :] = Σ_{i: ids[i] = v, ascending} dy[i, :]        (+ what is there, with ACCUMULATE)
//
// Shapes:   table, dtable are rows × columns; ids has `tokens` values; output, dy are tokens × columns;
//           positions (tokens) and starts (rows + 1) come from sort.wgsl: token positions sorted by id, and where each
//           id's run begins.
// Bindings: 0 params, 1 table, 2 ids, 3 output, 4 dy, 5 positions, 6 starts, 7 dtable
//           (lookup: 0 to 3; gradient: 0, 4 to 7).
// Dispatch: lookup: one workgroup a token, folded into x × y; gradient: one a row of the table, likewise, times any
//           number in z, which share the columns.
//
//   lookup    workgroup i      ids[i] ──▶ table[ids[i], c] ──▶ output[i, c]         lane l: c = l, l + WORKGROUP, …
//   gradient  workgroup v, z   positions[starts[v] … starts[v + 1] − 1] = 3, 7, 9
//                              dtable[v, c] = (dy[3, c] + dy[7, c]) + dy[9, c]      lane l: c = z · WORKGROUP + l, then
//                                                                                   on by groups.z · WORKGROUP
//
// Source:   this project's: each sum has one owner and one order, which atomic additions do not give.

alias Real = f32;
alias Table = f32;
const WORKGROUP: u32 = 64;
const ACCUMULATE: bool = false;

struct Params {
  tokens: u32,
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> table: array<Table>;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> output: array<Real>;
@group(0) @binding(4) var<storage, read> dy: array<Real>;
@group(0) @binding(5) var<storage, read> positions: array<u32>;
@group(0) @binding(6) var<storage, read> starts: array<u32>;
@group(0) @binding(7) var<storage, read_write> dtable: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn lookup(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) lane: u32) {
  let token = group.x + group.y * groups.x;
  if (token >= params.tokens) { return; }
  let id = ids[token];
  for (var c = lane; c < params.columns; c += WORKGROUP) {
    var value = Real(0.0);
    if (id < params.rows) { value = Real(table[id * params.columns + c]); }
    output[token * params.columns + c] = value;
  }
}

@compute @workgroup_size(WORKGROUP)
fn gradient(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * groups.x;
  if (row >= params.rows) { return; }
  let first = starts[row];
  let last = starts[row + 1u];
  if (ACCUMULATE && first == last) { return; }
  for (var c = group.z * WORKGROUP + lane; c < params.columns; c += groups.z * WORKGROUP) {
    var sum = 0.0;
    if (ACCUMULATE) { sum = dtable[row * params.columns + c]; }
    var i = first;
    // Four loads in flight: a frequent token's run is long and bound by latency. The order of the sum is kept.
    for (; i + 4u <= last; i += 4u) {
      let a = f32(dy[positions[i] * params.columns + c]);
      let b = f32(dy[positions[i + 1u] * params.columns + c]);
      let d = f32(dy[positions[i + 2u] * params.columns + c]);
      let e = f32(dy[positions[i + 3u] * params.columns + c]);
      sum = (((sum + a) + b) + d) + e;
    }
    for (; i < last; i++) { sum += f32(dy[positions[i] * params.columns + c]); }
    dtable[row * params.columns + c] = sum;
  }
}
