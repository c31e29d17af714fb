// Times the peers alone: medians after a warm-up. After `npm ci` in this folder:
//   node measure.mjs [--peer jax] [--benchmark "matmul 512"] [--runs 9]
// The table that sets them beside the project's own engine is made elsewhere in bench/, in one process.
import { parseArgs } from "node:util";
import { create } from "webgpu";
import { benchmarks, peers } from "./peer.mjs";

const WARM_UP = 2;
const { values: options } = parseArgs({
  options: {
    peer: { type: "string", multiple: true, default: Object.keys(peers) },
    benchmark: { type: "string", multiple: true, default: Object.keys(benchmarks) },
    runs: { type: "string", default: "9" },
  },
});
const runs = Number(options.runs);
if (!(Number.isInteger(runs) && runs > 0))
  throw new Error(`--runs ${options.runs}: give a whole number above 0`);
for (const [kind, table] of [
  ["peer", peers],
  ["benchmark", benchmarks],
]) {
  for (const name of options[kind]) {
    if (!(name in table)) throw new Error(`No ${kind} "${name}": there are ${Object.keys(table).join(", ")}`);
  }
}

const gpu = create([]);
const { info } = await gpu.requestAdapter({ powerPreference: "high-performance" });
console.log(`adapter: ${info.description} (${info.vendor} ${info.architecture})`);
for (const name of options.peer) {
  const peer = await peers[name](gpu);
  for (const label of options.benchmark) {
    const benchmark = await benchmarks[label](peer);
    const times = [];
    for (let n = 0; n < WARM_UP + runs; n++) {
      const start = performance.now();
      await benchmark.run();
      if (n >= WARM_UP) times.push(performance.now() - start);
    }
    times.sort((a, b) => a - b);
    const [least, median, most] = [0, Math.floor((runs - 1) / 2), runs - 1].map((n) => times[n].toFixed(1));
    const checksum = (await benchmark.checksum()).toPrecision(7);
    console.log(
      `${peer.name} ${peer.version}, ${label}: median ${median} ms of ${runs} (${least} to ${most}), checksum ${checksum}`,
    );
    await benchmark.dispose();
  }
  await peer.close();
}
process.exit(0);
