// SwiGLU: the gated unit between the two projections of a feed-forward block.
//
//   forward   y[r,c] = silu(gate) · up                   gate = x[r, c], up = x[r, hidden + c], silu(g) = g·σ(g)
//   backward  dx[r, c]          = dy · up · σ(g)·(1 + g·(1 − σ(g)))
//             dx[r, hidden + c] = dy · silu(g)
//
// Shapes:   x, dx are rows × 2·hidden (gate beside up, as one projection gives them); y, dy are rows × hidden.
// Bindings: 0 params, 1 x, 2 y, 3 dy, 4 dx (forward: 0, 1, 2; backward: 0, 1, 3, 4).
// Dispatch: forward, backward: one workgroup a row, folded into x × y.
//
//   x, dx, row r   | gate 0 | gate 1 | …  hidden | up 0   | up 1   | …        lane l has gate c and up c for
//   y, dy, row r   | lane 0 | lane 1 | …                                      c = l, l + WORKGROUP, …
//
// Source:   Shazeer, "GLU Variants Improve Transformer" (arXiv 2002.05202).

alias Real = f32;
const WORKGROUP: u32 = 64;

struct Params {
  rows: u32,
  hidden: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Real>;
@group(0) @binding(2) var<storage, read_write> y: array<Real>;
@group(0) @binding(3) var<storage, read> dy: array<Real>;
@group(0) @binding(4) var<storage, read_write> dx: array<Real>;

fn sigmoid(g: f32) -> f32 {
  return 1.0 / (1.0 + exp(-g));
}

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * groups.x;
  if (row >= params.rows) { return; }
  let gates = row * 2u * params.hidden;
  for (var c = lane; c < params.hidden; c += WORKGROUP) {
    let g = f32(x[gates + c]);
    y[row * params.hidden + c] = Real(g * sigmoid(g) * f32(x[gates + params.hidden + c]));
  }
}

@compute @workgroup_size(WORKGROUP)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * groups.x;
  if (row >= params.rows) { return; }
  let gates = row * 2u * params.hidden;
  for (var c = lane; c < params.hidden; c += WORKGROUP) {
    let g = f32(x[gates + c]);
    let up = f32(x[gates + params.hidden + c]);
    let s = sigmoid(g);
    let upstream = f32(dy[row * params.hidden + c]);
    dx[gates + c] = Real(upstream * up * s * (1.0 + g * (1.0 - s)));
    dx[gates + params.hidden + c] = Real(upstream * g * s);
  }
}
