// What the extension's processes hold while a run goes on for an hour: the extension host, and the
// window with the page of charts.
// The run is written as training writes one, at --per-second steps, by this process; nothing trains.
// usage: node bench/extension-memory.mjs [--minutes 60] [--per-second 20] [--json]     after npm run build
import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { prepareEditor } from "./editor.mjs";

const { values: options } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    "per-second": { type: "string", default: "20" },
    json: { type: "boolean", default: false },
  },
});
const [MINUTES, PER_SECOND] = [options.minutes, options["per-second"]].map(Number);
const MEASUREMENTS = 6;

const { Editor, Workspace, machine } = await prepareEditor();
const workspace = new Workspace();
const run = workspace.path("runs", "hour");
mkdirSync(run, { recursive: true });
writeFileSync(join(run, "run.yaml"), "name: hour\n");
const began = Date.now();
let step = 0;

function writeStatus() {
  const times = { created: new Date(began).toISOString(), updated: new Date().toISOString() };
  const state = { state: "running", pid: process.pid, processStart: "", host: hostname(), ...times };
  writeFileSync(
    join(run, "run.json"),
    JSON.stringify({ ...state, step, tokens: step * 2048, loss: 3, tokensPerSecond: 40_000 }),
  );
}

function writeSteps() {
  const due = Math.floor(((Date.now() - began) / 1000) * PER_SECOND);
  const lines = [];
  for (; step < due; ) {
    step++;
    const done = { step, tokens: step * 2048, flops: step * 1e9, seconds: step / PER_SECOND };
    const measured = {
      loss: 2 + 8 / Math.sqrt(step) + Math.random() / 10,
      learningRate: 1e-3,
      gradientNorm: 1,
    };
    lines.push(JSON.stringify({ kind: "step", ...done, ...measured, tokensPerSecond: 40_000, memory: 1e9 }));
    if (step % 500 === 0) {
      const evaluation = { step, set: "news", loss: 2.5, perplexity: 12, bitsPerByte: 1, tokens: 65_536 };
      lines.push(JSON.stringify({ kind: "evaluation", ...evaluation }));
    }
  }
  if (lines.length > 0) appendFileSync(join(run, "metrics.jsonl"), `${lines.join("\n")}\n`);
}

/** Resident memory of the extension host, which is the server's child of that type. */
function extensionHostBytes() {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("--type=extensionHost")) continue;
      return 1024 * Number(/VmRSS:\s*(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]);
    } catch {
      /* ended meanwhile */
    }
  }
  throw new Error("no extension host is running");
}

writeStatus();
writeSteps();
const timers = [setInterval(writeSteps, 200), setInterval(writeStatus, 2000)];
const editor = await Editor.start();
const found = [];
try {
  await editor.open(workspace.folder);
  await editor.container("slm-forge");
  await editor.rows("Runs").first().waitFor();
  await editor.command("slm-forge: Open the Dashboard");
  await editor.webview(".page-dashboard .chart canvas");
  /* the page of charts shares its process and its heap with the window */
  const session = await editor.page.context().newCDPSession(editor.page);
  for (let at = 0; at <= MEASUREMENTS; at++) {
    const until = began + Math.max(60_000, (at * MINUTES * 60_000) / MEASUREMENTS);
    while (Date.now() < until) await sleep(500);
    await session.send("HeapProfiler.collectGarbage");
    const { usedSize: heap } = await session.send("Runtime.getHeapUsage");
    found.push({ minutes: (Date.now() - began) / 60_000, step, host: extensionHostBytes(), heap });
    const { minutes, host } = found.at(-1);
    const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
    if (!options.json)
      console.log(
        `${minutes.toFixed(0)} min, ${step} steps: extension host ${mebibytes(host)}, the window's heap ${mebibytes(heap)}`,
      );
  }
} finally {
  timers.forEach(clearInterval);
  await editor.close();
  workspace.remove();
}
if (options.json) console.log(JSON.stringify({ machine, found }, null, 2));
else
  console.log(
    `${machine.cores} cores of ${machine.processor}, ${machine.revision}, load ${machine.load.toFixed(1)}`,
  );
