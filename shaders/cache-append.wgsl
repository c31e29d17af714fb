// Appends keys and values of new tokens to the caches that decoding attends to.
//
//   keys[z, position + t, :] = qkv[z, t, key part]        values[z, position + t, :] = qkv[z, t, value part]
//   Tokens at capacity and beyond are left out.
//
// Shapes:   qkv is batch × tokens rows of queries | keys | values, row_stride apart; keys, values are
//           batch × capacity × columns.
// Bindings: 0 params, 1 qkv, 2 keys, 3 values.
// Dispatch: any number of workgroups in x; `position` changes from call to call.
//
//   qkv[z, t]    | queries | keys         | values |       an invocation copies key c and value c of one token: c runs
//                          ↑ key_offset   ↑ + columns      fastest, then t, then z; it goes on by groups.x · WORKGROUP
//
// Source:   this project's: a plain copy, with the position a variable so that a plan need not be recorded anew.

alias Real = f32;
const WORKGROUP: u32 = 64;

struct Params {
  batch: u32,
  tokens: u32,
  columns: u32,
  capacity: u32,
  position: u32,
  row_stride: u32,
  key_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Real>;
@group(0) @binding(2) var<storage, read_write> keys: array<Real>;
@group(0) @binding(3) var<storage, read_write> values: array<Real>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let count = params.batch * params.tokens * params.columns;
  for (var i = id.x; i < count; i += groups.x * WORKGROUP) {
    let column = i % params.columns;
    let token = (i / params.columns) % params.tokens;
    let z = i / params.columns / params.tokens;
    if (params.position + token < params.capacity) {
      let source = (z * params.tokens + token) * params.row_stride + params.key_offset + column;
      let target_at = (z * params.capacity + params.position + token) * params.columns + column;
      keys[target_at] = qkv[source];
      values[target_at] = qkv[source + params.columns];
    }
  }
}
