// Appends keys and values of new tokens to the caches that decoding attends to.
//
//   keys[z, position + t, :]   = qkv[z, t, key part]        values[z, position + t, :] = qkv[z, t, value part]
//
// Shapes: qkv is batch × tokens rows of queries | keys | values; the caches are batch × capacity × columns.
// Picture: a grid-stride loop over the new values; `position` changes from call to call.

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
