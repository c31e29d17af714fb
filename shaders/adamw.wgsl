// AdamW over flat arenas, with clipping by the global norm and dynamic loss scaling.
//
//   prepare  norm = sqrt(squares) / loss_scale; squares not finite → skip this step and lower the loss scale, else
//            count it, correct the biases, raise the loss scale after growth_interval good steps; seed ← loss_scale
//   update   g' = g · gradient_factor                1 / loss_scale, times clip_norm / norm where norm > clip_norm > 0
//            m ← β1·m + (1 − β1)·g'      v ← β2·v + (1 − β2)·g'²
//            p ← p − lr · (m/(1 − β1^t) / (sqrt(v/(1 − β2^t)) + ε) + decay · p)
//   update_half  the same, and half = Half(p)
//
// Shapes:   parameters, gradients, m, v, half have `length` values, a segment that begins at value `first` of the
//           arena, a multiple of 64; decayed has one bit for every 64 values of the arena; squares is one value, Σ g²
//           of the whole arena; state is the struct below, whose host side is engine/optim/adamw-state.ts; seed is one
//           value, where the backward pass begins.
// Bindings: 0 params, 1 state, 2 squares, 3 seed, 4 prepared, 5 gradients, 6 decayed, 7 parameters, 8 m, 9 v, 10 half
//           (prepare: 1 to 3; update: 0 and 4 to 9; update_half: 10 too; prepared is the same buffer as state).
// Dispatch: prepare: 1, of one invocation; update, update_half: any number of workgroups in x.
//
//   value of the segment   0 …            WORKGROUP …            groups.x · WORKGROUP …
//                        | workgroup 0  | workgroup 1  | …     | workgroup 0  | …     one value an invocation and turn
//   bit of decayed       | 64 values of the arena | 64 … |
//
// Nothing is read back: a skipped step leaves parameters, moments and step as they are.
// Source:   Loshchilov & Hutter, "Decoupled Weight Decay Regularization" (arXiv 1711.05101); loss scaling as in
//           Micikevicius et al. (arXiv 1710.03740), clipping as in Pascanu et al. (arXiv 1211.5063).

alias Half = f32;
const WORKGROUP: u32 = 64;

struct State {
  // set by the host
  learning_rate: f32,
  beta1: f32,
  beta2: f32,
  // ln β in double precision, rounded: 1 − β^t from β itself loses its digits
  log_beta1: f32,
  log_beta2: f32,
  epsilon: f32,
  weight_decay: f32,
  // 0: gradients are not clipped
  clip_norm: f32,
  // 0: the loss scale stays as it is
  growth_interval: f32,
  growth_factor: f32,
  backoff_factor: f32,
  min_loss_scale: f32,
  max_loss_scale: f32,
  // kept by prepare
  step: f32,
  loss_scale: f32,
  good_steps: f32,
  skipped_steps: f32,
  // of the last step: 1 where it was skipped; its norm before clipping
  found_inf: f32,
  gradient_norm: f32,
  // for update
  gradient_factor: f32,
  bias_correction1: f32,
  bias_correction2: f32,
}

struct Params {
  first: u32,
  length: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> state: State;
@group(0) @binding(2) var<storage, read> squares: array<f32>;
@group(0) @binding(3) var<storage, read_write> seed: array<f32>;
@group(0) @binding(4) var<storage, read> prepared: State;
@group(0) @binding(5) var<storage, read> gradients: array<f32>;
@group(0) @binding(6) var<storage, read> decayed: array<u32>;
@group(0) @binding(7) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(8) var<storage, read_write> m: array<f32>;
@group(0) @binding(9) var<storage, read_write> v: array<f32>;
@group(0) @binding(10) var<storage, read_write> half: array<Half>;

// Infinite or not a number, by bits: compilers may assume that floats are neither.
fn is_finite(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

// 1 − exp(x) for x ≤ 0, without the cancellation near zero.
fn one_minus_exp(x: f32) -> f32 {
  if (x < -0.5) { return 1.0 - exp(x); }
  // Taylor, by Horner: the tenth term is below 0.5^10 / 10! < 1e-9
  var sum = 1.0;
  for (var n = 9.0; n > 1.5; n -= 1.0) { sum = 1.0 + sum * x / n; }
  return -x * sum;
}

@compute @workgroup_size(1)
fn prepare() {
  let finite = is_finite(squares[0]);
  if (finite) {
    let norm = sqrt(squares[0]) / state.loss_scale;
    var clip = 1.0;
    if (state.clip_norm > 0.0 && norm > state.clip_norm) { clip = state.clip_norm / norm; }
    let step = state.step + 1.0;
    state.step = step;
    state.found_inf = 0.0;
    state.gradient_norm = norm;
    state.gradient_factor = clip / state.loss_scale;
    state.bias_correction1 = one_minus_exp(step * state.log_beta1);
    state.bias_correction2 = one_minus_exp(step * state.log_beta2);
    state.good_steps += 1.0;
    if (state.growth_interval > 0.0 && state.good_steps >= state.growth_interval) {
      state.loss_scale = min(state.loss_scale * state.growth_factor, state.max_loss_scale);
      state.good_steps = 0.0;
    }
  } else {
    state.found_inf = 1.0;
    state.skipped_steps += 1.0;
    state.good_steps = 0.0;
    if (state.growth_interval > 0.0) {
      state.loss_scale = max(state.loss_scale * state.backoff_factor, state.min_loss_scale);
    }
  }
  seed[0] = state.loss_scale;
}

fn update_one(i: u32) -> f32 {
  let g = gradients[i] * prepared.gradient_factor;
  let first_moment = prepared.beta1 * m[i] + (1.0 - prepared.beta1) * g;
  let second_moment = prepared.beta2 * v[i] + (1.0 - prepared.beta2) * g * g;
  m[i] = first_moment;
  v[i] = second_moment;
  let block = (params.first + i) / 64u;
  let decay = select(0.0, prepared.weight_decay, ((decayed[block / 32u] >> (block % 32u)) & 1u) == 1u);
  let p = parameters[i];
  let direction = first_moment / prepared.bias_correction1
    / (sqrt(second_moment / prepared.bias_correction2) + prepared.epsilon);
  let moved = p - prepared.learning_rate * (direction + decay * p);
  parameters[i] = moved;
  return moved;
}

@compute @workgroup_size(WORKGROUP)
fn update(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  if (prepared.found_inf != 0.0) { return; }
  for (var i = id.x; i < params.length; i += groups.x * WORKGROUP) { _ = update_one(i); }
}

@compute @workgroup_size(WORKGROUP)
fn update_half(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  if (prepared.found_inf != 0.0) { return; }
  for (var i = id.x; i < params.length; i += groups.x * WORKGROUP) { half[i] = Half(update_one(i)); }
}
