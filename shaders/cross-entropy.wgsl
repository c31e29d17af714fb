// Softmax cross-entropy of rows of logits, with hard targets or a teacher's distribution.
//
//   forward   lse[r] = log Σ_v exp x[r,v]          loss[r] = lse[r] − x[r, target]        0 where ignored
//   backward  x[r,v] ← (softmax(x)[r,v] − [v = target]) · weight[r] · seed               in place, 0 where ignored
//   training  forward and backward in one: logits are read once for the sums, then replaced by their gradient
//   distill   loss[r] = (1−λ)·CE(target, softmax x) + λ·t²·CE(softmax(teacher/t), softmax(x/t)), then in place
//             x[r,v] ← ((1−λ)(softmax x − [v = target]) + λ·t·(softmax(x/t) − softmax(teacher/t))) · weight · seed
//             CE(p, q) = −Σ p log q keeps the teacher's entropy: it is KL(p‖q) plus a constant of the student.
//             λ is `mix`, t `temperature`; no lse is written.
//
// Shapes:   logits, gradient (the logits on entry), teacher are rows × columns, a chunk; targets, weights, losses, lse,
//           saved_lse hold every token, and the chunk's begin at `first_row`; seed is one value. Losses are unweighted.
//           A target that is `ignore_index` or ≥ columns is ignored.
// Bindings: 0 params, 1 logits, 2 targets, 3 losses, 4 lse, 5 weights, 6 seed, 7 saved_lse, 8 gradient, 9 teacher
//           (forward: 0 to 4; backward: 0, 2, 5 to 8; training: 0, 2 to 6, 8; distill: 0, 2, 3, 5, 6, 8, 9).
// Dispatch: forward, backward, training, distill: one workgroup a row, folded into x × y.
//
//   row r    | lane 0 | lane 1 | … | lane WORKGROUP − 1 | lane 0 | …   column c belongs to lane c mod WORKGROUP
//   lane       running maximum and Σ exp(x − maximum) of its columns       (backward: has saved_lse, sums nothing)
//   workgroup  tree of maxima, then a tree of the sums moved to the common maximum: lane l takes in l + stride,
//              stride = WORKGROUP / 2, …, 2, 1
//   lane       reads its columns again and writes their gradient           (not forward)
//
// Source:   the online softmax of Milakov & Gimelshein (arXiv 1805.02867); distill: Hinton, Vinyals & Dean
//           (arXiv 1503.02531).

alias Real = f32;
const WORKGROUP: u32 = 256;
const LOWEST: f32 = -3.4028234e38;

struct Params {
  rows: u32,
  columns: u32,
  first_row: u32,
  ignore_index: u32,
  temperature: f32,
  mix: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<Real>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> losses: array<f32>;
@group(0) @binding(4) var<storage, read_write> lse: array<f32>;
@group(0) @binding(5) var<storage, read> weights: array<f32>;
@group(0) @binding(6) var<storage, read> seed: array<f32>;
@group(0) @binding(7) var<storage, read> saved_lse: array<f32>;
// Holds the logits on entry.
@group(0) @binding(8) var<storage, read_write> gradient: array<Real>;
@group(0) @binding(9) var<storage, read> teacher: array<Real>;

var<workgroup> partial: array<f32, WORKGROUP>;

fn workgroup_sum(value: f32, lane: u32) -> f32 {
  // The barrier before keeps the previous result readable until every lane has it.
  workgroupBarrier();
  partial[lane] = value;
  workgroupBarrier();
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    if (lane < stride) { partial[lane] += partial[lane + stride]; }
    workgroupBarrier();
  }
  return partial[0];
}

fn workgroup_max(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  partial[lane] = value;
  workgroupBarrier();
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    if (lane < stride) { partial[lane] = max(partial[lane], partial[lane + stride]); }
    workgroupBarrier();
  }
  return partial[0];
}

// Running maximum, and Σ exp(x − maximum).
struct Running {
  maximum: f32,
  sum: f32,
}

// One exponential an element: whichever of the old maximum and x is smaller is rescaled.
fn include(state: Running, x: f32) -> Running {
  let larger = max(state.maximum, x);
  let e = exp(min(state.maximum, x) - larger);
  return Running(larger, select(state.sum + e, state.sum * e + 1.0, x > state.maximum));
}

fn log_sum_exp(state: Running, lane: u32) -> f32 {
  let maximum = workgroup_max(state.maximum, lane);
  return maximum + log(workgroup_sum(state.sum * exp(state.maximum - maximum), lane));
}

fn is_ignored(label: u32) -> bool {
  return label == params.ignore_index || label >= params.columns;
}

@compute @workgroup_size(WORKGROUP)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * groups.x;
  if (row >= params.rows) { return; }
  let token = params.first_row + row;
  let start = row * params.columns;
  var state = Running(LOWEST, 0.0);
  for (var c = lane; c < params.columns; c += WORKGROUP) { state = include(state, f32(logits[start + c])); }
  let total = log_sum_exp(state, lane);
  if (lane == 0u) {
    let label = targets[token];
    lse[token] = total;
    var loss = 0.0;
    if (!is_ignored(label)) { loss = total - f32(logits[start + label]); }
    losses[token] = loss;
  }
}

@compute @workgroup_size(WORKGROUP)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * groups.x;
  if (row >= params.rows) { return; }
  let token = params.first_row + row;
  let start = row * params.columns;
  let label = targets[token];
  let total = saved_lse[token];
  let factor = select(weights[token] * seed[0], 0.0, is_ignored(label));
  for (var c = lane; c < params.columns; c += WORKGROUP) {
    let probability = exp(f32(gradient[start + c]) - total);
    gradient[start + c] = Real((probability - select(0.0, 1.0, c == label)) * factor);
  }
}

@compute @workgroup_size(WORKGROUP)
fn training(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * groups.x;
  if (row >= params.rows) { return; }
  let token = params.first_row + row;
  let start = row * params.columns;
  let label = targets[token];
  let ignored = is_ignored(label);
  let factor = select(weights[token] * seed[0], 0.0, ignored);
  var state = Running(LOWEST, 0.0);
  for (var c = lane; c < params.columns; c += WORKGROUP) { state = include(state, f32(gradient[start + c])); }
  let total = log_sum_exp(state, lane);
  for (var c = lane; c < params.columns; c += WORKGROUP) {
    let x = f32(gradient[start + c]);
    // The lane that holds the target's logit writes the loss: nobody else may read it once it is replaced.
    if (c == label && !ignored) { losses[token] = total - x; }
    gradient[start + c] = Real((exp(x - total) - select(0.0, 1.0, c == label)) * factor);
  }
  if (lane == 0u) {
    lse[token] = total;
    if (ignored) { losses[token] = 0.0; }
  }
}

@compute @workgroup_size(WORKGROUP)
fn distill(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) lane: u32) {
  let row = group.x + group.y * groups.x;
  if (row >= params.rows) { return; }
  let token = params.first_row + row;
  let start = row * params.columns;
  let label = targets[token];
  let ignored = is_ignored(label);
  let cold = 1.0 / params.temperature;

  var hard = Running(LOWEST, 0.0);
  // softmax(x/t) and softmax(teacher/t), and Σ exp(teacher/t − maximum) · x/t
  var soft = Running(LOWEST, 0.0);
  var taught = Running(LOWEST, 0.0);
  var taught_dot = 0.0;
  for (var c = lane; c < params.columns; c += WORKGROUP) {
    let x = f32(gradient[start + c]);
    let y = f32(teacher[start + c]) * cold;
    hard = include(hard, x);
    soft = include(soft, x * cold);
    let larger = max(taught.maximum, y);
    let e = exp(min(taught.maximum, y) - larger);
    let rises = y > taught.maximum;
    taught = Running(larger, select(taught.sum + e, taught.sum * e + 1.0, rises));
    taught_dot = select(fma(e, x * cold, taught_dot), fma(taught_dot, e, x * cold), rises);
  }
  let total = log_sum_exp(hard, lane);
  let soft_total = log_sum_exp(soft, lane);
  let taught_maximum = workgroup_max(taught.maximum, lane);
  let rescale = exp(taught.maximum - taught_maximum);
  let taught_sum = workgroup_sum(taught.sum * rescale, lane);
  let expectation = workgroup_sum(taught_dot * rescale, lane) / taught_sum;
  let taught_total = taught_maximum + log(taught_sum);

  let t = params.temperature;
  let mix = params.mix;
  let factor = select(weights[token] * seed[0], 0.0, ignored);
  for (var c = lane; c < params.columns; c += WORKGROUP) {
    let x = f32(gradient[start + c]);
    if (c == label && !ignored) {
      losses[token] = (1.0 - mix) * (total - x) + mix * t * t * (soft_total - expectation);
    }
    let from_target = exp(x - total) - select(0.0, 1.0, c == label);
    let from_teacher = exp(x * cold - soft_total) - exp(f32(teacher[start + c]) * cold - taught_total);
    gradient[start + c] = Real(((1.0 - mix) * from_target + mix * t * from_teacher) * factor);
  }
  if (lane == 0u && ignored) { losses[token] = 0.0; }
}
