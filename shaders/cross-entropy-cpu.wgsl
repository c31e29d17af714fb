// Softmax cross-entropy shaped for software (CPU) drivers: loss and gradient of rows of logits, in place.
//
//   lse[r] = log Σ_v exp x[r,v]      loss[r] = lse[r] − x[r, target]                     0 where ignored
//   x[r,v] ← (exp(x[r,v] − lse[r]) − [v = target]) · weight[r] · seed                    0 where ignored
//
// Shapes:   gradient (the logits on entry) is rows × columns, a chunk, columns a multiple of 4; targets, weights,
//           losses, lse hold every token, and the chunk's begin at `first_row`; seed is one value. A target that is
//           `ignore_index` or ≥ columns is ignored.
// Bindings: 0 params, 1 targets, 2 weights, 3 seed, 4 losses, 5 lse, 6 gradient.
// Dispatch: one workgroup, a subgroup, for each row, folded into x × y.
//
// What costs on a CPU driver is memory, a store most of all, and moving the maximum:
//
//   row     |<------ block 0 ------>|<------ block 1 ------>|  …      lane l holds vectors l, l + LANES, …
//   pass 1  maximum and sum of exp(x − maximum), the maximum moved once a block; then subgroupMax and subgroupAdd
//   pass 2  exp(x − lse), less one at the target
//
// Source:   the online softmax of Milakov & Gimelshein (arXiv 1805.02867), by blocks.
enable subgroups;

const LANES: u32 = 8u; // the subgroup size
const BLOCK: u32 = 4u; // vectors of a block that a lane holds: written out below
const LOWEST: f32 = -3.4028234e38;

struct Params {
  rows: u32,
  columns: u32,
  first_row: u32,
  ignore_index: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> seed: array<f32>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;
// Holds the logits on entry.
@group(0) @binding(6) var<storage, read_write> gradient: array<vec4f>;

fn largest(x: vec4f) -> f32 {
  return max(max(x.x, x.y), max(x.z, x.w));
}

@compute @workgroup_size(LANES)
fn training(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * groups.x;
  if (row >= params.rows) { return; }
  let token = params.first_row + row;
  let vectors = params.columns / 4u;
  let start = row * vectors;
  let label = targets[token];
  let ignored = label == params.ignore_index || label >= params.columns;
  let owner = !ignored && (label / 4u) % LANES == lane;
  var target_logit = 0.0;
  if (owner) { target_logit = gradient[start + label / 4u][label % 4u]; }

  var maximum = LOWEST;
  var sums = vec4f();
  let end = start + vectors;
  var v = start + lane;
  for (; v + (BLOCK - 1u) * LANES < end; v += BLOCK * LANES) {
    let x0 = gradient[v];
    let x1 = gradient[v + LANES];
    let x2 = gradient[v + 2u * LANES];
    let x3 = gradient[v + 3u * LANES];
    let larger = max(maximum, largest(max(max(x0, x1), max(x2, x3))));
    sums = sums * exp(maximum - larger) +
           ((exp(x0 - larger) + exp(x1 - larger)) + (exp(x2 - larger) + exp(x3 - larger)));
    maximum = larger;
  }
  for (; v < end; v += LANES) {
    let x = gradient[v];
    let larger = max(maximum, largest(x));
    sums = sums * exp(maximum - larger) + exp(x - larger);
    maximum = larger;
  }
  let top = subgroupMax(maximum);
  let total = top + log(subgroupAdd(((sums.x + sums.y) + (sums.z + sums.w)) * exp(maximum - top)));

  let factor = select(weights[token] * seed[0], 0.0, ignored);
  for (v = start + lane; v < end; v += LANES) { gradient[v] = exp(gradient[v] - total) * factor; }
  if (owner) {
    gradient[start + label / 4u][label % 4u] -= factor;
    losses[token] = total - target_logit;
  }
  if (lane == 0u) {
    lse[token] = total;
    if (ignored) { losses[token] = 0.0; }
  }
}
