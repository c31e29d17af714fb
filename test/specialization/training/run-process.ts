/** A process that holds a run, for the tests of locks and commands: run-process.js <config> <mode> [set …] */
import { loadConfig } from "../../../specialization/training/config.js";
import { RunFolder } from "../../../specialization/training/run-folder.js";

const [file, mode, ...overrides] = process.argv.slice(2);
const { config } = loadConfig(file, overrides);

let run: RunFolder;
try {
  run = mode === "open" ? RunFolder.open(config.output.runs, config.name) : RunFolder.create(config);
} catch (error) {
  process.stdout.write(`refused ${(error as Error).message}\n`);
  process.exit(3);
}
run.update({ state: "running", step: 7, loss: 3.25, tokens: 700, tokensPerSecond: 1234 });
process.stdout.write(`holds ${run.name}\n`);

const stop = (message: string) => {
  run.update({ state: "stopping" });
  run.close("stopped", message);
  process.exit(0);
};
process.on("SIGINT", () => {
  if (mode !== "deaf") stop("interrupted");
});
setInterval(() => {
  if (mode === "create" || mode === "open") {
    if (run.stopRequested()) stop("asked to stop");
  }
}, 10);
