// What every library offers to the speed comparison (see peers/peer.mjs), and how the peers are loaded: they are packages of
// their own folder, so nothing of them is imported before it is asked for.

/** One computation with its inputs on the device. */
export interface Benchmark {
  /** Executes it once; settles when the device is done. */
  run(): Promise<void>;
  /** The sum of a product's entries; loss plus the gradient's absolute sum; the loss before the latest training step. */
  checksum(): Promise<number>;
  /** Everything the latest run computed: [product]; [loss, gradient]. Training steps are compared by their losses. */
  values?(): Promise<ArrayLike<number>[]>;
  dispose(): Promise<void>;
}

/** Sizes of the transformer whose training step is timed; `hidden` is 8/3 of the width, rounded up to 32, where it is left out. */
export interface TransformerShape {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly context: number;
  readonly batch: number;
  readonly vocabulary: number;
  readonly hidden?: number;
}

export interface Peer {
  readonly name: string;
  readonly version: string;
  matmul(n: number): Promise<Benchmark>;
  softmaxCrossEntropy(rows: number, vocabulary: number): Promise<Benchmark>;
  transformerStep(shape: TransformerShape): Promise<Benchmark>;
  close(): Promise<void>;
}

/** Weights as peers/workload.mjs makes them: matrices [inputs, outputs], row by row. */
export interface WorkloadLayer {
  readonly attentionNorm: Float32Array;
  readonly query: Float32Array;
  readonly key: Float32Array;
  readonly value: Float32Array;
  readonly output: Float32Array;
  readonly feedForwardNorm: Float32Array;
  readonly gate: Float32Array;
  readonly up: Float32Array;
  readonly down: Float32Array;
}

/** The exports of peers/workload.mjs that the engine's side needs: the same numbers for every library. */
export interface Workload {
  readonly NORM_EPSILON: number;
  readonly ROTARY_BASE: number;
  readonly ADAM: {
    readonly learningRate: number;
    readonly beta1: number;
    readonly beta2: number;
    readonly epsilon: number;
  };
  hiddenWidth(shape: TransformerShape): number;
  matrices(n: number): { a: Float32Array; b: Float32Array };
  logitsAndTargets(rows: number, vocabulary: number): { logits: Float32Array; targets: Int32Array };
  transformerWeights(shape: TransformerShape): {
    embedding: Float32Array;
    layers: WorkloadLayer[];
    finalNorm: Float32Array;
  };
  transformerBatch(shape: TransformerShape): { tokens: Int32Array; targets: Int32Array };
}

interface PeerTable {
  readonly peers: Readonly<Record<string, (gpu: GPU) => Promise<Peer>>>;
  readonly transformerShape: TransformerShape;
}

const FOLDER = new URL("../../bench/peers/", import.meta.url);

/** The inputs that all libraries share; needs none of the peers' packages. */
export async function loadWorkload(): Promise<Workload> {
  return (await import(new URL("workload.mjs", FOLDER).href)) as Workload;
}

/** The table of peers and the shape of the transformer. */
export async function loadPeerTable(): Promise<PeerTable> {
  return (await import(new URL("peer.mjs", FOLDER).href)) as PeerTable;
}

/** Opens a peer on the adapter that `gpu` gives. @throws where its packages are missing, naming the command that installs them */
export async function openPeer(table: PeerTable, name: string, gpu: GPU): Promise<Peer> {
  const open = table.peers[name];
  if (!open) {
    throw new Error(`--peer ${name}: there are ${Object.keys(table.peers).join(", ")}, all and none`);
  }
  try {
    return await open(gpu);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new Error(
      `The peer "${name}" is not installed: run \`npm ci --prefix bench/peers\`, or pass --peer none.`,
      { cause: error },
    );
  }
}
