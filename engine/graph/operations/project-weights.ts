/**
 * Projected weights: an expert's matrices as linear combinations of base matrices (arXiv 2402.01093, section 2.5).
 * W[e] = Σ_r c[e,r] T[r] with c = E[ids] M. The coefficients are a tensor of their own, because they are small, and
 * because a coefficient vector from elsewhere (a mix of experts) composes weights as well.
 */
import type { Real } from "../../kernels/index.js";
import {
  baseGradient,
  coefficientGradient,
  composeWeights as composeCalls,
  projectionCoefficients,
  projectionParts,
  projectionVectorGradients,
} from "../../kernels/project-weights.js";
import { elementsOf } from "../shape.js";
import type { Operation, Tensor } from "../tensor.js";

function coefficientShape(ids: Tensor, vectors: Tensor, mixer: Tensor) {
  const [tableRows, mixers] = vectors.shape;
  return { experts: ids.elements, tableRows, mixers, bases: mixer.shape[1] };
}

const coefficients: Operation<null> = {
  name: "expertCoefficients",
  infer([ids, vectors, mixer], _, fail) {
    if (ids.dtype !== "u32" || ids.shape.length !== 1) fail("the ids must be a list of u32");
    if (vectors.shape.length !== 2 || mixer.shape.length !== 2) fail("vectors and mixer must be matrices");
    if (vectors.shape[1] !== mixer.shape[0])
      fail(`vectors of ${vectors.shape[1]} do not fit a mixer of ${mixer.shape[0]} rows`);
    if (vectors.dtype !== "f32" || mixer.dtype !== "f32") fail("vectors and mixer must be f32");
    return [{ shape: [ids.elements, mixer.shape[1]], dtype: "f32" }];
  },
  gradient({ inputs, gradients: [dCoefficients], needed }) {
    if (!dCoefficients || !(needed[1] || needed[2])) return [undefined, undefined, undefined];
    const [ids, vectors, mixer] = inputs;
    const [dVectors, dMixer] = ids.graph.apply(
      coefficientsBackward,
      [ids, vectors, mixer, dCoefficients],
      null,
    );
    return [undefined, needed[1] ? dVectors : undefined, needed[2] ? dMixer : undefined];
  },
  lower({ node, inputs: [ids, vectors, mixer], outputs: [output], emit }) {
    const [i, v, m] = node.inputs;
    emit(projectionCoefficients(coefficientShape(i, v, m), { ids, vectors, mixer, coefficients: output }));
  },
};

const coefficientsBackward: Operation<null> = {
  name: "expertCoefficientsBackward",
  infer: ([, vectors, mixer]) => [
    { shape: vectors.shape, dtype: "f32" },
    { shape: mixer.shape, dtype: "f32" },
  ],
  lower({ node, inputs: [ids, vectors, mixer, dCoefficients], outputs: [dVectors, dMixer], emit }) {
    const [i, v, m] = node.inputs;
    const shape = { ...coefficientShape(i, v, m), accumulate: false };
    emit(...projectionVectorGradients(shape, { ids, vectors, mixer, dCoefficients, dVectors, dMixer }));
  },
};

interface ComposeAttributes {
  readonly dtype: Real;
}

function projectionShape(c: Tensor, base: Tensor) {
  const [experts, bases] = c.shape;
  return { experts, bases, size: elementsOf(base.shape.slice(1)) };
}

const compose: Operation<ComposeAttributes> = {
  name: "composeWeights",
  infer([c, base], { dtype }, fail) {
    if (c.shape.length !== 2 || c.dtype !== "f32") fail("the coefficients must be an f32 matrix");
    if (base.shape.length < 2) fail("the base must be a list of matrices");
    if (c.shape[1] !== base.shape[0])
      fail(`${c.shape[1]} coefficients an expert do not fit ${base.shape[0]} bases`);
    return [{ shape: [c.shape[0], ...base.shape.slice(1)], dtype }];
  },
  gradient({ inputs: [c, base], gradients: [dWeights], needed }) {
    if (!dWeights) return [undefined, undefined];
    const { graph } = c;
    return [
      needed[0] ? graph.apply(composeCoefficientGradient, [base, dWeights], null)[0] : undefined,
      needed[1] ? graph.apply(composeBaseGradient, [c, dWeights], { shape: base.shape })[0] : undefined,
    ];
  },
  lower({ node, target, inputs: [c, base], outputs: [weights], emit }) {
    const [coefficient, bases] = node.inputs;
    const types = { base: bases.real, weights: node.attributes.dtype };
    const shape = projectionShape(coefficient, bases);
    emit(...composeCalls(target, types, shape, { coefficients: c, base, weights }));
  },
};

const composeCoefficientGradient: Operation<null> = {
  name: "composeWeightsCoefficientGradient",
  infer: ([base, dWeights]) => [{ shape: [dWeights.shape[0], base.shape[0]], dtype: "f32" }],
  lower({ node, target, inputs: [base, dWeights], outputs: [dCoefficients], scratch, emit }) {
    const [b, w] = node.inputs;
    const shape = projectionShape(node.outputs[0], b);
    const partial = scratch("f32", projectionParts(shape.size).count * shape.experts * shape.bases);
    const types = { base: b.real, weights: w.real };
    emit(...coefficientGradient(target, types, shape, { dWeights, base, partial, dCoefficients }));
  },
};

const composeBaseGradient: Operation<{ shape: readonly number[] }> = {
  name: "composeWeightsBaseGradient",
  accumulates: true,
  infer: (_, { shape }) => [{ shape, dtype: "f32" }],
  lower({ node, target, inputs: [c, dWeights], outputs: [dBase], accumulate, emit }) {
    const [coefficient, w] = node.inputs;
    const shape = { ...projectionShape(coefficient, node.outputs[0]), accumulate };
    emit(...baseGradient(target, { weights: w.real }, shape, { coefficients: c, dWeights, dBase }));
  },
};

/**
 * c = E[ids] M. ids: [experts] u32, each below the rows of E; vectors E: [k, m] f32; mixer M: [m, h] f32;
 * result [experts, h] f32. Experts named twice add up in the gradients.
 */
export function expertCoefficients(ids: Tensor, vectors: Tensor, mixer: Tensor): Tensor {
  return ids.graph.apply(coefficients, [ids, vectors, mixer], null)[0];
}

/**
 * W[e] = Σ_r c[e,r] T[r]. coefficients: [experts, h] f32; base T: [h, …]; result [experts, …] of `dtype`, by default
 * that of the base.
 */
export function composeWeights(c: Tensor, base: Tensor, options: { dtype?: Real } = {}): Tensor {
  return c.graph.apply(compose, [c, base], { dtype: options.dtype ?? base.real })[0];
}
