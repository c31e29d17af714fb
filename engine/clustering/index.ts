/** Clustering of vectors on the GPU. */
export {
  type AssignResult,
  assign,
  type IterationReport,
  type KMeansOptions,
  type KMeansResult,
  kmeans,
} from "./kmeans.js";
export { type PointSource, type Points, PointsError } from "./points.js";
