// How fast the pages of `slm board` are: from a metrics line being written to its point on screen, and frames a second
// while charts of 20 runs of 100,000 steps, and a map of 100,000 documents, are moved.
// Usage: node dist/bench/pages.js [--runs 20] [--steps 100000] [--documents 100000] [--lines 60]
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { chromium, type Page } from "playwright-core";
import { startBoard } from "../cli/board/server.js";
import { Random } from "../engine/random.js";
import { describeMachine } from "./machine.js";

const { values: options } = parseArgs({
  options: {
    runs: { type: "string", default: "20" },
    steps: { type: "string", default: "100000" },
    documents: { type: "string", default: "100000" },
    lines: { type: "string", default: "60" },
    json: { type: "boolean", default: false },
  },
});
const [RUNS, STEPS, DOCUMENTS, LINES] = [options.runs, options.steps, options.documents, options.lines].map(
  Number,
);
const SECONDS = 5;

const random = new Random(1);
const folder = mkdtempSync(join(tmpdir(), "slm-bench-pages-"));

function metricsLine(step: number, loss: number): string {
  const measured = { learningRate: 0.001 * (1 - step / (2 * STEPS)), gradientNorm: 1 + random.uniform() };
  const rates = { tokensPerSecond: 1e4 + 500 * random.uniform(), memory: 1e9 };
  const done = { step, tokens: step * 4096, flops: step * 1e9, seconds: step / 20 };
  return `${JSON.stringify({ kind: "step", ...done, loss, ...measured, ...rates })}\n`;
}

function writeRun(name: string, steps: number, decay: number): string {
  const run = join(folder, "runs", name);
  mkdirSync(run, { recursive: true });
  const times = { created: new Date().toISOString(), updated: new Date().toISOString() };
  const state = { state: "finished", pid: 1, processStart: "", host: hostname(), ...times, step: steps };
  writeFileSync(
    join(run, "run.json"),
    JSON.stringify({ ...state, tokens: 0, loss: null, tokensPerSecond: null }),
  );
  writeFileSync(join(run, "run.yaml"), "name: bench\n");
  const file = openSync(join(run, "metrics.jsonl"), "w");
  for (let step = 1; step <= steps; ) {
    const lines: string[] = [];
    for (; step <= steps && lines.length < 10_000; step++)
      lines.push(metricsLine(step, 2 + 8 * step ** -decay + 0.1 * random.normal()));
    writeSync(file, lines.join(""));
  }
  closeSync(file);
  return run;
}

function writeNpy(path: string, type: string, shape: string, values: Float32Array | Uint32Array): void {
  const header = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape}), }`.padEnd(117);
  const start = Buffer.from(`\x93NUMPY\x01\x00\x76\x00${header}\n`, "latin1");
  writeFileSync(path, Buffer.concat([start, new Uint8Array(values.buffer)]));
}

/** A map of so many documents around 64 centres. */
function writeClusters(): void {
  const clusters = join(folder, "clusters");
  mkdirSync(clusters);
  const count = 64;
  const centres = Array.from({ length: count }, () => [10 * random.normal(), 10 * random.normal()]);
  const assignments = Uint32Array.from({ length: DOCUMENTS }, () => random.integer(count));
  const map = new Float32Array(2 * DOCUMENTS);
  for (let unit = 0; unit < DOCUMENTS; unit++)
    for (const axis of [0, 1]) map[2 * unit + axis] = centres[assignments[unit]][axis] + random.normal();
  writeNpy(join(clusters, "map.npy"), "<f4", `${DOCUMENTS}, 2`, map);
  writeNpy(join(clusters, "assignments.npy"), "<u4", `${DOCUMENTS},`, assignments);
  const size = DOCUMENTS / count;
  const descriptions = centres.map((_, cluster) => ({
    ...{
      cluster,
      size,
      tokens: size * 500,
      share: 1 / count,
      radius: 1,
      radius90: 2,
      nearest: [],
      random: [],
    },
    ...{ terms: [{ term: `word${cluster}`, score: 1 }], sources: [] },
  }));
  writeFileSync(join(clusters, "descriptions.json"), JSON.stringify(descriptions));
  const manifest = {
    clusters: count,
    units: DOCUMENTS,
    empty: 0,
    coherence: { silhouette: null },
    agreement: null,
  };
  writeFileSync(join(clusters, "clusters.json"), JSON.stringify(manifest));
}

/** Frames a second while a canvas is panned to and fro by its keys; the script is text: it runs in the page. */
function framesPerSecond(page: Page, canvas: string): Promise<{ rate: number; slowest: number }> {
  return page.evaluate(`new Promise((done) => {
    const canvas = document.querySelector(${JSON.stringify(canvas)});
    const times = [];
    const begin = performance.now();
    canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "+" }));
    const step = (now) => {
      times.push(now);
      if (now - begin > ${SECONDS * 1000}) {
        const gaps = times.slice(1).map((time, at) => time - times[at]).sort((a, b) => a - b);
        done({ rate: 1000 * gaps.length / (times.at(-1) - times[0]), slowest: gaps[Math.floor(0.99 * gaps.length)] });
        return;
      }
      const key = Math.floor(times.length / 30) % 2 ? "ArrowLeft" : "ArrowRight";
      canvas.dispatchEvent(new KeyboardEvent("keydown", { key }));
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  })`);
}

/** Waits until a script is true; the page's own policy forbids it to evaluate one again and again by itself. */
async function until(page: Page, script: string): Promise<void> {
  while (!(await page.evaluate(script))) await sleep(100);
}

async function latencies(page: Page, run: string): Promise<number[]> {
  const found: number[] = [];
  for (let line = 0; line < LINES; line++) {
    await sleep(80 + random.integer(400));
    const step = 11 + line;
    const loss = 1000 + step;
    /* the label is written when the picture is drawn, and holds the last value */
    const shown = page.evaluate<number>(`new Promise((done) => {
      const canvas = document.querySelector(".chart canvas[role=img]");
      const observer = new MutationObserver(() => {
        if (!canvas.getAttribute("aria-label").includes("live ${(loss / 1000).toPrecision(4).replace(/0+$/, "")}k")) return;
        observer.disconnect();
        done(Date.now());
      });
      observer.observe(canvas, { attributes: true });
    })`);
    await sleep(20);
    const written = Date.now();
    appendFileSync(join(run, "metrics.jsonl"), metricsLine(step, loss));
    found.push((await shown) - written);
  }
  return found.sort((a, b) => a - b);
}

try {
  const live = writeRun("live", 10, 0.5);
  const board = await startBoard({ folders: [folder], slm: { program: process.execPath, parameters: [] } });
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox"],
  });
  const page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
  await page.addInitScript(`sessionStorage.getItem("slm /dashboard") ??
    sessionStorage.setItem("slm /dashboard", '{"smoothing":0}')`);
  await page.goto(board.address);
  await until(
    page,
    `document.querySelector(".chart canvas[role=img]")?.getAttribute("aria-label")?.includes("live ")`,
  );
  const waits = await latencies(page, live);
  await page.close();

  for (let run = 0; run < RUNS; run++) writeRun(`run-${run}`, STEPS, 0.2 + run / 50);
  const many = await browser.newPage({ viewport: { width: 1280, height: 860 } });
  const chosen = Object.fromEntries(
    Array.from({ length: RUNS }, (_, run) => [join(folder, "runs", `run-${run}`), true]),
  );
  chosen[live] = false;
  await many.addInitScript(
    `sessionStorage.setItem("slm /dashboard", ${JSON.stringify(JSON.stringify({ chosen, smoothing: 0.9 }))})`,
  );
  const begin = performance.now();
  await many.goto(board.address);
  await many.evaluate(`document.querySelector("details > summary")?.click()`);
  await until(
    many,
    `(() => {
      const details = document.querySelector(".card details");
      if (details && !details.open) details.open = true;
      const rows = [...document.querySelectorAll(".card:first-child .values tbody tr")];
      return rows.length === ${RUNS} && rows.every((row) => row.cells[2].textContent !== "–");
    })()`,
  );
  /* all rows are there when nothing comes any more */
  await sleep(8000);
  const loaded = (performance.now() - begin - 8000) / 1000;
  await many.evaluate(`document.querySelector(".card details").open = false`);
  const charts = await framesPerSecond(many, ".chart canvas[role=img]");
  await many.close();

  writeClusters();
  await sleep(2500);
  const explorer = await browser.newPage({ viewport: { width: 1280, height: 860 } });
  await explorer.goto(board.address.replace("/dashboard", "/clusters"));
  await until(explorer, `document.querySelectorAll(".cluster-table tbody tr").length === 64`);
  const map = await framesPerSecond(explorer, ".map canvas");
  await browser.close();
  await board.close();

  const result = {
    latency: { median: waits[LINES >> 1], p95: waits[Math.floor(0.95 * LINES)] },
    charts: { ...charts, secondsToLoad: loaded },
    map,
  };
  const machine = describeMachine();
  if (options.json) console.log(JSON.stringify({ machine, ...result }, null, 2));
  else {
    const { processor, cores, revision, load } = machine;
    console.log(`${cores} cores of ${processor}, ${revision}, load ${load.toFixed(1)}`);
    console.log(`line to point: median ${result.latency.median} ms, 95 % within ${result.latency.p95} ms`);
    console.log(
      `${RUNS} × ${STEPS} steps: ${charts.rate.toFixed(1)} frames/s, 99 % within ${charts.slowest.toFixed(0)} ms`,
    );
    console.log(
      `${DOCUMENTS} documents: ${map.rate.toFixed(1)} frames/s, 99 % within ${map.slowest.toFixed(0)} ms`,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
