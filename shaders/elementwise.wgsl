// Elementwise operations on flat tensors; OP chooses one when the kernel is compiled, so the others cost nothing.
//
//   unary       output[i] = f(input[i])                       also the cast between f32 and f16 (OP 0)
//   gradient    output[i] = dy[i] · f'(input[i])
//   binary      output[i] = g(input[i], other[j])             j = i, i mod columns, 0 or i / columns (BROADCAST)
//   accumulate  output[i] += value · input[i]
//
// Shapes:   input, output, dy have `length` values; other has length, columns, 1 or length/columns values.
// Bindings: 0 params, 1 input, 2 other, 3 dy, 4 output (other: binary only; dy: gradient only).
// Dispatch: unary, gradient, binary, accumulate: any number of workgroups in x.
//
//   value i    0 …            WORKGROUP …            groups.x · WORKGROUP …
//            | workgroup 0  | workgroup 1  | …     | workgroup 0  | …            one value an invocation and turn
//
// Source:   this project's: maps that need no method; gelu is the tanh form of Hendrycks & Gimpel (arXiv 1606.08415).

alias Input = f32;
alias Other = f32;
alias Output = f32;
const WORKGROUP: u32 = 64;
// unary: 0 identity 1 negate 2 relu 3 gelu (tanh form, Hendrycks & Gimpel 2016) 4 silu 5 sigmoid 6 tanh 7 exp 8 log
//        9 sqrt 10 square 11 reciprocal 12 multiply by value 13 add value
// binary: 0 add 1 subtract 2 multiply 3 divide 4 maximum
const OP: u32 = 0;
// 0 same shape 1 trailing dimensions 2 one scalar 3 one value a row
const BROADCAST: u32 = 0;

struct Params {
  length: u32,
  columns: u32,
  value: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Input>;
@group(0) @binding(2) var<storage, read> other: array<Other>;
@group(0) @binding(3) var<storage, read> dy: array<Other>;
@group(0) @binding(4) var<storage, read_write> output: array<Output>;

fn sigmoid(x: f32) -> f32 {
  return 1.0 / (1.0 + exp(-x));
}

// Beyond ±10 tanh is ±1 in f32, and some drivers' tanh overflows on the way there.
fn safe_tanh(x: f32) -> f32 {
  return tanh(clamp(x, -10.0, 10.0));
}

const GELU_SCALE: f32 = 0.7978845608; // sqrt(2 / π)
const GELU_CUBIC: f32 = 0.044715;

fn apply(x: f32) -> f32 {
  switch (OP) {
    case 1u: { return -x; }
    case 2u: { return max(x, 0.0); }
    case 3u: { return 0.5 * x * (1.0 + safe_tanh(GELU_SCALE * (x + GELU_CUBIC * x * x * x))); }
    case 4u: { return x * sigmoid(x); }
    case 5u: { return sigmoid(x); }
    case 6u: { return safe_tanh(x); }
    case 7u: { return exp(x); }
    case 8u: { return log(x); }
    case 9u: { return sqrt(x); }
    case 10u: { return x * x; }
    case 11u: { return 1.0 / x; }
    case 12u: { return x * params.value; }
    case 13u: { return x + params.value; }
    default: { return x; }
  }
}

fn slope(x: f32) -> f32 {
  switch (OP) {
    case 1u: { return -1.0; }
    case 2u: { return select(0.0, 1.0, x > 0.0); }
    case 3u: {
      let t = safe_tanh(GELU_SCALE * (x + GELU_CUBIC * x * x * x));
      return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * GELU_SCALE * (1.0 + 3.0 * GELU_CUBIC * x * x);
    }
    case 4u: {
      let s = sigmoid(x);
      return s * (1.0 + x * (1.0 - s));
    }
    case 5u: {
      let s = sigmoid(x);
      return s * (1.0 - s);
    }
    case 6u: {
      let t = safe_tanh(x);
      return 1.0 - t * t;
    }
    case 7u: { return exp(x); }
    case 8u: { return 1.0 / x; }
    case 9u: { return 0.5 / sqrt(x); }
    case 10u: { return 2.0 * x; }
    case 11u: { return -1.0 / (x * x); }
    case 12u: { return params.value; }
    default: { return 1.0; }
  }
}

fn combine(a: f32, b: f32) -> f32 {
  switch (OP) {
    case 1u: { return a - b; }
    case 2u: { return a * b; }
    case 3u: { return a / b; }
    case 4u: { return max(a, b); }
    default: { return a + b; }
  }
}

@compute @workgroup_size(WORKGROUP)
fn unary(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < params.length; i += groups.x * WORKGROUP) {
    output[i] = Output(apply(f32(input[i])));
  }
}

@compute @workgroup_size(WORKGROUP)
fn gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < params.length; i += groups.x * WORKGROUP) {
    output[i] = Output(f32(dy[i]) * slope(f32(input[i])));
  }
}

@compute @workgroup_size(WORKGROUP)
fn binary(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < params.length; i += groups.x * WORKGROUP) {
    var j = i;
    if (BROADCAST == 1u) { j = i % params.columns; }
    if (BROADCAST == 2u) { j = 0u; }
    if (BROADCAST == 3u) { j = i / params.columns; }
    output[i] = Output(combine(f32(input[i]), f32(other[j])));
  }
}

@compute @workgroup_size(WORKGROUP)
fn accumulate(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var i = id.x; i < params.length; i += groups.x * WORKGROUP) {
    output[i] = Output(f32(output[i]) + params.value * f32(input[i]));
  }
}
