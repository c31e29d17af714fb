/** Sampling: importance weights, smoothing, repetition caps, samplers, and what a domain's histogram is worth. */
export {
  type CandidateScore,
  type ClusterCandidate,
  type ClusterCountAdvice,
  recommendClusterCount,
  scoreCandidate,
} from "./cluster-count.js";
export {
  type DiagnosisOptions,
  type DomainDiagnosis,
  describeDiagnosis,
  diagnoseDomain,
  forecastRepetitions,
  formatReadings,
  type RepetitionForecast,
  SCARCE_REPETITIONS,
} from "./diagnosis.js";
export {
  gumbelTopK,
  readingsWithoutCap,
  type Selection,
  type SelectionOptions,
  selectDocuments,
} from "./document-resampling.js";
export { SamplingError } from "./errors.js";
export { NgramCounts, type NgramOptions, type NgramWeightOptions, NgramWeights } from "./hashed-ngrams.js";
export {
  type ClusterVector,
  effectiveClusters,
  entropy,
  klDivergence,
  normalize,
  topCluster,
  totalOf,
  totalVariation,
} from "./histogram-statistics.js";
export {
  bootstrapNoise,
  type CredibleInterval,
  credibleIntervals,
  describeTrust,
  expectedError,
  type Noise,
  splitHalfDistance,
  TOO_FEW_WINDOWS,
  type TrustLevel,
} from "./histogram-trust.js";
export {
  type ClusterWeights,
  clusterWeights,
  coveredCounts,
  type DomainCounts,
  type DomainTarget,
  isCovered,
  type WeightOptions,
} from "./importance-weights.js";
export { type DomainLeakage, type Leakage, measureLeakage } from "./leakage.js";
export { type Allocation, allocateDraws, type ClusterSizes, type DrawBudget } from "./repetition-cap.js";
export { type SmoothedHistogram, type SmoothingRule, smoothHistogram } from "./smoothing.js";
export {
  type Draw,
  type DrawStatistics,
  EXCLUDED,
  type SamplerOptions,
  type SamplerState,
  TwoStageSampler,
} from "./two-stage-sampler.js";
