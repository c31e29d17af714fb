// The interface that every peer has, so that one loop can time them all, beside the project's own engine.

/**
 * A computation with its inputs on the device.
 * @typedef {object} Benchmark
 * @property {() => Promise<void>} run executes it once; settles when the device is done. The first run may compile
 * @property {() => Promise<number>} checksum of the latest run: the sum of a product's entries; loss plus the
 *   gradient's absolute sum; the loss before the latest training step
 * @property {() => Promise<Float32Array[]>} values everything the latest run computed: [product];
 *   [loss, gradient]; all weights after the training step in the order of `weightArrays` of reference.mjs
 * @property {() => Promise<void>} dispose frees its memory
 */

/**
 * @typedef {object} Peer
 * @property {string} name
 * @property {string} version
 * @property {(n: number) => Promise<Benchmark>} matmul product of two n × n matrices, f32
 * @property {(rows: number, vocabulary: number) => Promise<Benchmark>} softmaxCrossEntropy mean loss of logits
 *   [rows, vocabulary] against whole-number targets, and its gradient with respect to the logits
 * @property {(shape: import("./workload.mjs").TransformerShape) => Promise<Benchmark>} transformerStep forward,
 *   backward and Adam update; every run is the next step on one fixed batch
 * @property {() => Promise<void>} close destroys the peer's device
 */

/** Loads each peer's `open(navigatorGpu)` by name. */
export const peers = {
  jax: async (/** @type {GPU} */ gpu) => (await import("./jax.mjs")).open(gpu),
  tfjs: async (/** @type {GPU} */ gpu) => (await import("./tfjs.mjs")).open(gpu),
};

/** The computations that are compared, by name. */
export const benchmarks = {
  "matmul 512": (/** @type {Peer} */ peer) => peer.matmul(512),
  "matmul 1024": (/** @type {Peer} */ peer) => peer.matmul(1024),
  "softmax cross-entropy 1024 x 4096": (/** @type {Peer} */ peer) => peer.softmaxCrossEntropy(1024, 4096),
  "transformer step": (/** @type {Peer} */ peer) => peer.transformerStep(transformerShape),
};

/** The transformer whose training step is timed. */
export const transformerShape = { layers: 4, width: 128, heads: 4, context: 256, batch: 8, vocabulary: 4096 };
