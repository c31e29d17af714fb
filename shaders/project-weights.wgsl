// Projected weights: the matrices of some experts, composed from shared base matrices.
//
//   coefficients          c[e,r] = Σ_q E[ids[e], q] · M[q, r]
//   compose               W[e, :] = Σ_r c[e,r] · T[r, :]
//   base_gradient         dT[r, :] (+)= Σ_e c[e,r] · dW[e, :]                   experts in ascending order
//   coefficient_gradient  partial[p, e, r] = Σ_{i in part p} dW[e,i] · T[r,i]   parts are added in order afterwards
//   vector_gradient       dE[i, q] (+)= Σ_{e: ids[e] = i} Σ_r dc[e,r] · M[q,r]
//   mixer_gradient        dM[q, r] (+)= Σ_e E[ids[e], q] · dc[e,r]
//
// Shapes:   T, dT (base, dbase) are bases × size (size = d·d' of one weight matrix); W, dW (weights, dweights) experts
//           × size; E, dE (vectors, dvectors) table_rows × mixers; M, dM (mixer, dmixer) mixers × bases; c (also
//           new_coefficients), dc experts × bases; ids has one table row for each expert in use.
// Bindings: 0 params, 1 ids, 2 vectors, 3 mixer, 4 new_coefficients, 5 c, 6 base, 7 weights, 8 dweights, 9 dbase,
//           10 partial, 11 dc, 12 dvectors, 13 dmixer (all with 0; coefficients: 1 to 4; compose: 5, 6, 7;
//           base_gradient: 5, 8, 9; coefficient_gradient: 6, 8, 10; vector_gradient: 1, 3, 11, 12;
//           mixer_gradient: 1, 2, 11, 13).
// Dispatch: coefficients, vector_gradient, mixer_gradient: ⌈values / WORKGROUP⌉, an invocation a value of c, dE, dM;
//           compose, base_gradient: any number of workgroups in x, once for every EXPERTS experts from first_expert;
//           coefficient_gradient: ⌈size / run⌉ × ⌈bases / BASES⌉, likewise.
//
//   compose,        column     | workgroup 0 | workgroup 1 | …    an invocation has one column at a time, its EXPERTS
//   base_gradient                                                 values in registers, and walks the bases, so that the
//                                                                 matrices pass through memory once
//   coefficient_    column     p · run … | COLUMNS | COLUMNS | …  workgroup (p, b) brings COLUMNS at a time of EXPERTS
//   gradient                                                      rows of dW and BASES rows of T into workgroup memory;
//                                                                 its lanes share the EXPERTS × BASES sums, each over
//                                                                 ascending columns
//
// Source:   "Need a Small Specialized Language Model? Plan Early!" (arXiv 2402.01093), section 2.5; experts in
//           registers and the ordered parts are this project's.

alias Base = f32;
alias Real = f32;
const WORKGROUP: u32 = 64;
// Experts that one dispatch handles, from first_expert.
const EXPERTS: u32 = 4;
// Bases whose sums one workgroup of coefficient_gradient holds.
const BASES: u32 = 8;
const COLUMNS: u32 = 32;
const ACCUMULATE: bool = false;

struct Params {
  size: u32,
  experts: u32,
  first_expert: u32,
  bases: u32,
  mixers: u32,
  table_rows: u32,
  // columns of a part, a multiple of COLUMNS
  run: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> vectors: array<f32>;
@group(0) @binding(3) var<storage, read> mixer: array<f32>;
@group(0) @binding(4) var<storage, read_write> new_coefficients: array<f32>;
@group(0) @binding(5) var<storage, read> c: array<f32>;
@group(0) @binding(6) var<storage, read> base: array<Base>;
@group(0) @binding(7) var<storage, read_write> weights: array<Real>;
@group(0) @binding(8) var<storage, read> dweights: array<Real>;
@group(0) @binding(9) var<storage, read_write> dbase: array<f32>;
@group(0) @binding(10) var<storage, read_write> partial: array<f32>;
@group(0) @binding(11) var<storage, read> dc: array<f32>;
@group(0) @binding(12) var<storage, read_write> dvectors: array<f32>;
@group(0) @binding(13) var<storage, read_write> dmixer: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn coefficients(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= params.experts * params.bases) { return; }
  let expert = ids[id.x / params.bases];
  let r = id.x % params.bases;
  var sum = 0.0;
  for (var q = 0u; q < params.mixers; q++) {
    sum = fma(vectors[expert * params.mixers + q], mixer[q * params.bases + r], sum);
  }
  new_coefficients[id.x] = sum;
}

@compute @workgroup_size(WORKGROUP)
fn compose(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var column = id.x; column < params.size; column += groups.x * WORKGROUP) {
    var sums: array<f32, EXPERTS>;
    // Set to zero by hand: an array declared in a loop kept its values from one turn to the next on lavapipe 25.
    for (var e = 0u; e < EXPERTS; e++) { sums[e] = 0.0; }
    for (var r = 0u; r < params.bases; r++) {
      let t = f32(base[r * params.size + column]);
      for (var e = 0u; e < EXPERTS; e++) {
        sums[e] = fma(c[(params.first_expert + e) * params.bases + r], t, sums[e]);
      }
    }
    for (var e = 0u; e < EXPERTS; e++) {
      weights[(params.first_expert + e) * params.size + column] = Real(sums[e]);
    }
  }
}

@compute @workgroup_size(WORKGROUP)
fn base_gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var column = id.x; column < params.size; column += groups.x * WORKGROUP) {
    var upstream: array<f32, EXPERTS>;
    for (var e = 0u; e < EXPERTS; e++) {
      upstream[e] = f32(dweights[(params.first_expert + e) * params.size + column]);
    }
    for (var r = 0u; r < params.bases; r++) {
      var sum = 0.0;
      if (ACCUMULATE) { sum = dbase[r * params.size + column]; }
      for (var e = 0u; e < EXPERTS; e++) {
        sum = fma(c[(params.first_expert + e) * params.bases + r], upstream[e], sum);
      }
      dbase[r * params.size + column] = sum;
    }
  }
}

const PITCH: u32 = COLUMNS + 1;
const ROWS: u32 = EXPERTS + BASES;
const PER_LANE: u32 = (EXPERTS * BASES + WORKGROUP - 1) / WORKGROUP;
// EXPERTS rows of dW, then BASES rows of T
var<workgroup> block: array<f32, ROWS * PITCH>;

@compute @workgroup_size(WORKGROUP)
fn coefficient_gradient(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * params.run;
  let first_base = group.y * BASES;
  var sums: array<f32, PER_LANE>;
  for (var start = first; start < min(first + params.run, params.size); start += COLUMNS) {
    for (var i = lane; i < ROWS * COLUMNS; i += WORKGROUP) {
      let row = i / COLUMNS;
      let column = start + i % COLUMNS;
      var value = 0.0;
      if (column < params.size) {
        if (row < EXPERTS) {
          value = f32(dweights[(params.first_expert + row) * params.size + column]);
        } else if (first_base + row - EXPERTS < params.bases) {
          value = f32(base[(first_base + row - EXPERTS) * params.size + column]);
        }
      }
      block[row * PITCH + i % COLUMNS] = value;
    }
    workgroupBarrier();
    for (var column = 0u; column < COLUMNS; column++) {
      for (var k = 0u; k < PER_LANE; k++) {
        // Sums beyond the last repeat it; they are not written.
        let which = min(lane + k * WORKGROUP, EXPERTS * BASES - 1u);
        sums[k] = fma(block[(which / BASES) * PITCH + column],
                      block[(EXPERTS + which % BASES) * PITCH + column], sums[k]);
      }
    }
    workgroupBarrier();
  }
  for (var k = 0u; k < PER_LANE; k++) {
    let which = lane + k * WORKGROUP;
    let r = first_base + which % BASES;
    if (which < EXPERTS * BASES && r < params.bases) {
      let e = params.first_expert + which / BASES;
      partial[(group.x * params.experts + e) * params.bases + r] = sums[k];
    }
  }
}

@compute @workgroup_size(WORKGROUP)
fn vector_gradient(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= params.table_rows * params.mixers) { return; }
  let row = id.x / params.mixers;
  let q = id.x % params.mixers;
  var sum = 0.0;
  if (ACCUMULATE) { sum = dvectors[id.x]; }
  for (var e = 0u; e < params.experts; e++) {
    if (ids[e] == row) {
      for (var r = 0u; r < params.bases; r++) {
        sum = fma(dc[e * params.bases + r], mixer[q * params.bases + r], sum);
      }
    }
  }
  dvectors[id.x] = sum;
}

@compute @workgroup_size(WORKGROUP)
fn mixer_gradient(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= params.mixers * params.bases) { return; }
  let q = id.x / params.bases;
  let r = id.x % params.bases;
  var sum = 0.0;
  if (ACCUMULATE) { sum = dmixer[id.x]; }
  for (var e = 0u; e < params.experts; e++) {
    sum = fma(vectors[ids[e] * params.mixers + q], dc[e * params.bases + r], sum);
  }
  dmixer[id.x] = sum;
}
