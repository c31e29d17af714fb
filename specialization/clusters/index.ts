/** Embeddings of documents, clusters of them, and histograms of domains over clusters. */
export { type Agreement, agreement, type Overlap, overlaps } from "./agreement.js";
export { growTree, type RandomAccess, type TreeOptions } from "./balanced-tree.js";
export { buildClusters, type ClusteringMethod, type ClusteringOptions } from "./build-clusters.js";
export { buildEmbeddings, type EmbeddingMethod, type EmbeddingOptions } from "./build-embeddings.js";
export { assignToTree, type ClusterTree, type VectorSource } from "./cluster-tree.js";
export { type AssignedUnits, Clusters, type ClustersManifest } from "./clusters.js";
export { type ClusterDescription, describeClusters, type ExampleDocument } from "./describe.js";
export { clusterDescriptions } from "./describe-stored.js";
export { type EmbeddedUnit, Embeddings, type EmbeddingsManifest } from "./embeddings.js";
export type { Encoded, Encoder, EncoderKind } from "./encoder.js";
export { ClustersError } from "./errors.js";
export { documentVectors, givenVectors } from "./given-vectors.js";
export {
  divergence,
  type Histogram,
  type HistogramReport,
  histogram,
  reportHistogram,
} from "./histogram.js";
export { inMemory } from "./in-memory-vectors.js";
export { fitLsi, LsiEncoder, type LsiModel, type LsiOptions, loadLsi, saveLsi } from "./lsi.js";
export { sentenceEncoder } from "./sentence-encoder.js";
export { type FoundDocument, type StoredDocument, StoredDocuments } from "./stored-documents.js";
export { DEFAULT_WINDOW, type Unit, Units } from "./units.js";
export { VectorFile, type VectorFileOptions, vectorIdentity } from "./vector-file.js";
