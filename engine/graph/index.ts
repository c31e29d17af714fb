/** Symbolic tensors: graphs, operations, gradients, compiled programs. */
export { type CompileRequest, compile, type Persistent, type Program } from "./compile.js";
export { Executable, type MemoryPlan, memoryOf } from "./executable.js";
export { gradients } from "./gradients.js";
export { attention, type Heads, rope } from "./operations/attention.js";
export { cachedAttention } from "./operations/cached-attention.js";
export { type CrossEntropyOptions, projectedCrossEntropy } from "./operations/cross-entropy.js";
export * from "./operations/elementwise.js";
export { embedding } from "./operations/embedding.js";
export { expertMatmul } from "./operations/expert-matmul.js";
export { type MatmulOptions, matmul } from "./operations/matmul.js";
export { composeWeights, expertCoefficients } from "./operations/project-weights.js";
export { columnSum, mean, rowMean, rowSum, total } from "./operations/reduce.js";
export { rmsNorm } from "./operations/rms-norm.js";
export { swiglu } from "./operations/swiglu.js";
export { reshape } from "./operations/view.js";
export { GraphError, type Shape, ShapeError } from "./shape.js";
export { Graph, type Initial, type Node, type Operation, type ParameterSpec, Tensor } from "./tensor.js";
