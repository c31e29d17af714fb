// Rotary position embedding (RoPE) of the query or key heads of packed rows, and its gradient.
//
//   half = HEAD_DIM / 2, for d < half, at position p:      y[d]        = x[d] cos(p f_d) - x[d + half] sin(p f_d)
//                                                          y[d + half] = x[d + half] cos(p f_d) + x[d] sin(p f_d)
//   INVERSE turns the other way, which is the gradient, since a rotation's transpose is its inverse.
//
// Shapes:   source, rotated [rows, heads_to_rotate, HEAD_DIM] as windows (row stride, offset in scalars), HEAD_DIM even;
//           row r is token r % tokens of its sequence, at position position_offset + r % tokens;
//           angles [positions, half] of (cos, sin) in f32, made by the host in float64 (f_d = theta^(-2 d / HEAD_DIM), or any
//           scaled form of it): positions in the thousands times an f32 frequency would be wrong in the fourth digit.
// Bindings: 0 params, 1 angles, 2 source, 3 rotated (rotate: 0 to 3; rotate_in_place: 0, 1, 3).
//           Rotate q and k of one packed buffer in one dispatch: they are neighbours, so heads_to_rotate = heads + kv_heads.
// Dispatch: rotate, rotate_in_place: ceil(rows * heads_to_rotate * half / WORKGROUP) in x; above 65535 workgroups
//           continue in y.
//
//   row r          | head 0                     | head 1                     | ..
//                  | 0 1 .. half-1 | half ..    | 0 1 .. half-1 | half ..    |         one invocation a pair, d fastest,
//                    d ------------- d + half     d ------------- d + half             then heads, then rows
//
// Source:   Su et al., "RoFormer" (arXiv 2104.09864), in the half-split layout of Hugging Face Llama (rotate_half).

alias Real = f32;

const HEAD_DIM: u32 = 64;
const INVERSE: bool = false;
const WORKGROUP: u32 = 64;

const HALF = HEAD_DIM / 2u;

struct Params {
  rows: u32,
  tokens: u32,
  heads_to_rotate: u32,
  position_offset: u32,
  source_row_stride: u32,
  source_offset: u32,
  rotated_row_stride: u32,
  rotated_offset: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> angles: array<vec2f>;
@group(0) @binding(2) var<storage, read> source: array<Real>;
@group(0) @binding(3) var<storage, read_write> rotated: array<Real>;

struct Pair {
  row: u32,
  // scalar number of the first of the pair within its window
  column: u32,
  rotation: vec2f,
}

fn locate(index: u32) -> Pair {
  let d = index % HALF;
  let head = index / HALF % params.heads_to_rotate;
  let row = index / HALF / params.heads_to_rotate;
  var rotation = angles[(params.position_offset + row % params.tokens) * HALF + d];
  if (INVERSE) {
    rotation.y = -rotation.y;
  }
  return Pair(row, head * HEAD_DIM + d, rotation);
}

fn turn(x: vec2f, rotation: vec2f) -> vec2f {
  return vec2f(x.x * rotation.x - x.y * rotation.y, x.y * rotation.x + x.x * rotation.y);
}

@compute @workgroup_size(WORKGROUP)
fn rotate(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) workgroups: vec3u) {
  let index = id.y * workgroups.x * WORKGROUP + id.x;
  if (index >= params.rows * params.heads_to_rotate * HALF) {
    return;
  }
  let pair = locate(index);
  let from_at = params.source_offset + pair.row * params.source_row_stride + pair.column;
  let to_at = params.rotated_offset + pair.row * params.rotated_row_stride + pair.column;
  let y = turn(vec2f(f32(source[from_at]), f32(source[from_at + HALF])), pair.rotation);
  rotated[to_at] = Real(y.x);
  rotated[to_at + HALF] = Real(y.y);
}

@compute @workgroup_size(WORKGROUP)
fn rotate_in_place(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) workgroups: vec3u) {
  let index = id.y * workgroups.x * WORKGROUP + id.x;
  if (index >= params.rows * params.heads_to_rotate * HALF) {
    return;
  }
  let pair = locate(index);
  let at = params.rotated_offset + pair.row * params.rotated_row_stride + pair.column;
  let y = turn(vec2f(f32(rotated[at]), f32(rotated[at + HALF])), pair.rotation);
  rotated[at] = Real(y.x);
  rotated[at + HALF] = Real(y.y);
}
