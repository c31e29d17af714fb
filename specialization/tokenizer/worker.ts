// A thread of TokenPool: encodes the batches it is sent and gives the memory of the tokens away with the answer.

import { parentPort, workerData } from "node:worker_threads";
import { BytePairEncoder, type BytePairModel } from "./byte-pair-encoder.js";

const encoder = new BytePairEncoder(workerData as BytePairModel);
const port = parentPort!;

port.on("message", ({ bytes, ends }: { bytes: Uint8Array; ends: Uint32Array }) => {
  const encoded = encoder.encodeBytes(bytes, ends);
  port.postMessage(encoded, [encoded.tokens.buffer, encoded.lengths.buffer] as ArrayBuffer[]);
});
