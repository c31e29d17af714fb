/** The pages of `slm board` in headless Chromium over real runs and clusters; run by `npm run test:pages`. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Browser, chromium, type Page } from "playwright-core";
import { stringify } from "yaml";
import { reportPage } from "../../cli/report-page.js";
import { packageRoot, slmPath } from "../../cli/version.js";
import type { ComparisonReport } from "../../specialization/stages/report-types.js";
import { slmIn, start, TINY, VOCABULARY, writeConfig, writeCorpus } from "../cli/tiny-run.js";
import { TopicCorpus } from "../specialization/clusters/topics.js";
import { checkAccess } from "./access.js";
import { makeClusters, writeReport } from "./example-job.js";

let folder: string;
let corpus: TopicCorpus;
let board: ChildProcess;
let address: string;
let browser: Browser;
const images = join(packageRoot(), "docs", "images");

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "slm-pages-test-"));
  mkdirSync(images, { recursive: true });
  writeCorpus(join(folder, "corpus.jsonl"), 120);
  writeCorpus(join(folder, "news.jsonl"), 15, 2);
  const rates = [0.001, 0.003, 0.01];
  for (const learningRate of rates) {
    const config = writeConfig(folder, `rate-${learningRate}`, {
      data: { train: "corpus.jsonl", validation: { news: "news.jsonl" } },
      training: { batch: 4, learningRate, budget: { steps: 120 } },
      evaluation: { every: 15 },
      samples: { every: 60, prompts: ["the small model"], tokens: 16 },
    });
    const { code, stderr } = await slmIn(folder, "train", config);
    assert.equal(code, 0, stderr);
  }
  writeConfig(folder, "long", {
    data: { train: "corpus.jsonl" },
    training: { batch: 4, learningRate: 0.003, budget: { steps: 20_000 } },
    checkpoints: { every: 200 },
  });
  corpus = await TopicCorpus.create();
  const job = join(folder, "example");
  mkdirSync(join(job, "stages"), { recursive: true });
  await makeClusters(corpus, join(job, "stages", "clusters"), 600, 8);
  await writeReport(job, "stages/clusters");
  writeFileSync(
    join(folder, "forge.yaml"),
    "# the job\nname: example\ncorpus:\n  paths: [corpus.jsonl] # generic\n",
  );
  const main = slmPath();
  board = spawn(process.execPath, [main, "board", "--json", "--allow-control", folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const printed = await new Promise<string>((done) =>
    board.stdout!.once("data", (text) => done(String(text))),
  );
  address = JSON.parse(printed).address;
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox"],
  });
});
after(async () => {
  await browser?.close();
  board?.kill();
  await corpus?.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** A page of the board; whatever it reports as an error fails the test. */
async function open(
  page: string,
  scheme: "light" | "dark" = "light",
  prepare?: (page: Page) => Promise<void>,
): Promise<Page> {
  const context = await browser.newContext({
    ...{ viewport: { width: 1280, height: 860 }, colorScheme: scheme, acceptDownloads: true },
    reducedMotion: "reduce",
  });
  const opened = await context.newPage();
  opened.setDefaultTimeout(120_000);
  const problems: string[] = [];
  opened.on("pageerror", (error) => problems.push(String(error)));
  opened.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  opened.on("close", () => assert.deepEqual(problems, []));
  await prepare?.(opened);
  await opened.goto(address.replace("/dashboard", `/${page}`));
  return opened;
}

/** What the dashboard keeps over a reload. */
async function stateOf(page: Page) {
  /* as text: this file is compiled without the browser's types */
  const state = await page.evaluate<string | null>('sessionStorage.getItem("slm /dashboard")');
  return JSON.parse(state ?? "{}");
}

test("the dashboard draws runs, zooms, exports, and comes back as it was", async () => {
  const page = await open("dashboard");
  await page.getByText("rate-0.001", { exact: true }).first().waitFor();
  await page.getByRole("heading", { name: "Loss · news" }).waitFor();
  await page.getByRole("heading", { name: "Samples" }).waitFor();
  const loss = page.locator("section.card", { has: page.getByRole("heading", { name: "Training loss" }) });
  const label = () => loss.locator("canvas").last().getAttribute("aria-label");
  while (!(await label())?.match(/rate-0\.001 \d/)) await page.waitForTimeout(50);
  await page.screenshot({ path: join(images, "board-dashboard.png") });
  await checkAccess(page);

  for (const kind of ["CSV", "SVG", "PNG"]) {
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: `Export Training loss as ${kind}` }).click(),
    ]);
    const saved = readFileSync((await download.path())!);
    if (kind === "CSV") assert.equal(saved.toString().trim().split("\r\n").length, 1 + 3 * 120);
    if (kind === "SVG") assert.match(saved.toString(), /^<svg .*<path .*Training loss/s);
    if (kind === "PNG") assert.equal(saved.toString("latin1", 1, 4), "PNG");
  }

  const box = (await loss.locator("canvas").last().boundingBox())!;
  await page.mouse.move(box.x + 120, box.y + 100);
  await page.mouse.down();
  await page.mouse.move(box.x + 260, box.y + 104, { steps: 4 });
  await page.mouse.up();
  await page.getByLabel("Across").selectOption("step");
  const state = () => stateOf(page);
  await loss
    .locator("canvas")
    .last()
    .hover({ position: { x: 200, y: 100 } });
  await loss.locator(".tooltip td").first().waitFor();
  await page.getByLabel("Log y").check();
  await page.getByLabel("Validation").selectOption("perplexity");
  await page.getByRole("heading", { name: "Perplexity · news" }).waitFor();
  await page.getByRole("checkbox", { name: /rate-0\.01 / }).uncheck();
  const before = await state();
  await page.reload();
  await page.getByRole("heading", { name: "Perplexity · news" }).waitFor();
  assert.deepEqual(await state(), before);
  assert.equal(await page.getByRole("checkbox", { name: /rate-0\.01 / }).isChecked(), false);
  assert.equal(before.logY, true);
  await loss.locator("summary").click();
  await loss.getByRole("rowheader", { name: "rate-0.001" }).waitFor();
  await loss.getByText("Training loss in numbers: 50 of 120 points").waitFor();
  const series = loss.locator(".values table").last();
  assert.deepEqual(await series.getByRole("columnheader").allTextContents(), [
    ...["Step", "rate-0.003", "rate-0.001"],
  ]);
  assert.equal(await series.getByRole("row").count(), 1 + 50);
  assert.match((await series.getByRole("row").last().textContent()) ?? "", /^120\d\.\d+/);
  await page.close();
});

test("a drag zooms, Shift-drag pans, a double click resets, and axes change what they measure", async () => {
  const page = await open("dashboard");
  await page.getByRole("heading", { name: "Loss · news" }).waitFor();
  const loss = page.locator("section.card", { has: page.getByRole("heading", { name: "Training loss" }) });
  const canvas = loss.locator("canvas").last();
  while (!/rate-0\.001 \d/.test((await canvas.getAttribute("aria-label")) ?? ""))
    await page.waitForTimeout(50);
  const zoom = async () => (await stateOf(page)).zoom ?? null;
  const box = (await canvas.boundingBox())!;
  const drag = async (from: number, to: number) => {
    await page.mouse.move(box.x + from, box.y + 100);
    await page.mouse.down();
    await page.mouse.move(box.x + to, box.y + 104, { steps: 4 });
    await page.mouse.up();
    /* the chart is drawn with the next frame, and the next drag begins from what is drawn */
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
  };
  await drag(120, 260);
  const zoomed = await zoom();
  assert.ok(zoomed.least > 1 && zoomed.greatest < 120, JSON.stringify(zoomed));
  await page.keyboard.down("Shift");
  await drag(260, 200);
  await page.keyboard.up("Shift");
  const panned = await zoom();
  assert.ok(panned.least > zoomed.least, JSON.stringify([zoomed, panned]));
  const width = ({ least, greatest }: { least: number; greatest: number }) => greatest - least;
  assert.ok(Math.abs(width(panned) - width(zoomed)) < 1e-6 * width(zoomed));
  await canvas.dblclick({ position: { x: 200, y: 100 } });
  assert.equal(await zoom(), null);

  /* what lies under the pointer tells which value of the axis is there */
  const valueAt = async (part: number) => {
    await canvas.hover({ position: { x: 20, y: 20 } });
    await canvas.hover({ position: { x: box.width * part, y: 100 } });
    return (await loss.locator(".tooltip-title").textContent()) ?? "";
  };
  /* a chart is drawn anew with the next frame, not with the click */
  const becomes = async (part: number, isRight: (text: string) => boolean) => {
    let text = await valueAt(part);
    for (let looks = 1; looks < 100 && !isRight(text); looks++) {
      await page.waitForTimeout(50);
      text = await valueAt(part);
    }
    assert.ok(isRight(text), text);
  };
  const middleBecomes = (isRight: (text: string) => boolean) => becomes(0.5, isRight);
  await middleBecomes((text) => Number(text) > 40 && Number(text) < 80);
  await page.getByLabel("Log x").check();
  await middleBecomes((text) => Number(text) > 5 && Number(text) < 20);
  await page.getByLabel("Log x").uncheck();
  await page.getByLabel("Across").selectOption("tokens");
  await middleBecomes((text) => /^[\d.]+k$/.test(text));
  await page.getByLabel("Across").selectOption("flops");
  await middleBecomes((text) => /^[\d.]+[MGT]$/.test(text));
  await page.getByLabel("Across").selectOption("seconds");
  /* a run that was slow to begin leaves a time of which no run tells, but not near its end */
  await becomes(0.95, (text) => / s$|:/.test(text));
  await loss.locator("summary").click();
  await loss.getByRole("columnheader", { name: "Time" }).waitFor();
  await page.close();
});

test("a run is chosen by a click that lasts while runs move", async () => {
  const page = await open("dashboard");
  const status = join(folder, "runs", "rate-0.001", "run.json");
  const before = readFileSync(status, "utf8");
  let step = 1000;
  const moving = setInterval(() => {
    writeFileSync(`${status}.new`, JSON.stringify({ ...JSON.parse(before), step: ++step }));
    renameSync(`${status}.new`, status);
  }, 100);
  try {
    const item = page.locator(".runs li", { hasText: "rate-0.001" });
    const moved = async () => {
      const from = (await item.locator(".run-details").textContent()) ?? "";
      await page.locator(".runs li", { hasText: "rate-0.001", hasNotText: from }).waitFor();
    };
    await item.getByText(/step 1\d{3}/).waitFor();
    const box = item.getByRole("checkbox");
    const wasChecked = await box.isChecked();
    for (const place of [box, item.locator(".run-name")]) {
      const { x, y, width, height } = (await place.boundingBox())!;
      await page.mouse.move(x + width / 2, y + height / 2);
      await page.mouse.down();
      await moved();
      await page.mouse.up();
      assert.equal(await box.isChecked(), place === box ? !wasChecked : wasChecked);
    }
  } finally {
    clearInterval(moving);
    writeFileSync(status, before);
  }
  await page.close();
});

test("the keyboard alone zooms a chart and resets it", async () => {
  const page = await open("dashboard");
  await page.getByRole("heading", { name: "Loss · news" }).waitFor();
  const zoom = async () => (await stateOf(page)).zoom ?? null;
  await page.locator(".chart canvas[role=img]").first().focus();
  await page.keyboard.press("+");
  await page.keyboard.press("ArrowRight");
  assert.ok((await zoom()).greatest > (await zoom()).least);
  await page.keyboard.press("0");
  assert.equal(await zoom(), null);
  await page.close();
});

test("a run begun in a terminal appears, moves, is stopped and resumed from the page", async () => {
  const page = await open("dashboard", "dark");
  const training = start(folder, ["train", "long.yaml"]);
  const item = page.locator(".runs li", { hasText: "long" });
  await item.getByText("running").waitFor();
  const step = async () => Number(/step (\d+)/.exec((await item.textContent()) ?? "")?.[1]);
  while (!((await step()) > 20)) await page.waitForTimeout(100);
  await item.getByText(/tokens\/s · .* left/).waitFor();
  await page.screenshot({ path: join(images, "board-dashboard-dark.png") });
  await checkAccess(page);
  await page.getByRole("button", { name: "Stop long" }).click();
  await item.getByText("stopped").waitFor();
  assert.equal((await training.ended).code, 0);
  const stopped = await step();
  await page.getByRole("button", { name: "Resume long" }).click();
  while (!((await step()) > stopped)) await page.waitForTimeout(100);
  await page.getByRole("button", { name: "Stop long" }).click();
  await item.getByText("stopped").waitFor();
  await page.close();
});

test("a whole job is seen before it trains, by its stage, and is stopped and resumed there", async () => {
  const config = {
    corpus: { train: "much.jsonl" },
    domains: { news: { train: "news.jsonl" } },
    tokenizer: { vocabulary: VOCABULARY },
    model: TINY,
    clusters: { k: 8 },
    output: { folder: "prepared" },
  };
  /* so much that it is read for as long as it takes to press a button */
  writeCorpus(join(folder, "much.jsonl"), 40_000, 3);
  writeFileSync(join(folder, "prepared.yaml"), stringify(config));
  const page = await open("dashboard");
  const job = start(folder, ["run", "prepared.yaml"]);
  const item = page.locator(".runs li", { hasText: "prepared" });
  await item.getByText(/^(tokenizer|tokens|embeddings)\b/).waitFor();
  assert.equal(await item.getByRole("checkbox").count(), 0, "there is nothing to draw yet");
  await checkAccess(page);
  await page.getByRole("button", { name: "Stop prepared" }).click();
  await item.getByText("stopped", { exact: true }).waitFor();
  assert.equal((await job.ended).code, 0);
  await page.getByRole("button", { name: "Resume prepared" }).click();
  await item.getByText("running", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Stop prepared" }).click();
  await item.getByText("stopped", { exact: true }).waitFor();
  await page.close();
});

test("the cluster explorer weighs clusters, reads and finds documents, and writes the choice", async () => {
  const page = await open("clusters");
  await page.getByLabel("Domain").selectOption("medicine");
  await page.getByRole("columnheader", { name: /Weight ↓/ }).waitFor();
  await page.locator(".cluster-table tbody button").first().click();
  await page.getByRole("heading", { name: /^Cluster \d+$/ }).waitFor();
  await page.screenshot({ path: join(images, "board-clusters.png"), fullPage: true });
  await checkAccess(page);
  await page.locator(".details .document").first().click();
  await page.getByRole("heading", { name: /^Document \d+$/ }).waitFor();
  const word = ((await page.locator(".details .text").textContent()) ?? "").trim().split(/\s+/)[0];
  await page.getByLabel("Search").fill(word);
  await page.getByLabel("Search").press("Enter");
  await page.getByText(/\d+ found in/).waitFor();
  assert.ok((await page.locator(".details .document").count()) > 0);
  await page.getByLabel("Search").fill("");
  await page.getByLabel("Train on cluster 3").focus();
  await page.keyboard.press("Space");
  const isFocused = await page.getByLabel("Train on cluster 3").evaluate((own) => own.matches(":focus"));
  assert.ok(isFocused, "the table is built anew around the focus");
  await page.getByLabel("Train on cluster 5").uncheck();
  await page.getByRole("button", { name: "Write to forge.yaml" }).click();
  await page.getByText(/Written to/).waitFor();
  assert.equal(
    readFileSync(join(folder, "forge.yaml"), "utf8"),
    "# the job\nname: example\ncorpus:\n  paths: [corpus.jsonl] # generic\nclusters:\n  exclude: [ 3, 5 ]\n",
  );
  await page.close();
});

test("what is chosen among clusters and not written stays, though the page is loaded anew and the report grows", async () => {
  const page = await open("clusters");
  await page.getByLabel("Domain").selectOption("medicine");
  /* 500 steps of 8 × 256 tokens, twice as long for importance sampling */
  assert.equal(await page.getByLabel("Budget, tokens").inputValue(), "2.05M");
  await page.getByLabel("Train on cluster 2").uncheck();
  await page.locator(".cluster-table tbody button").first().click();
  await page.locator(".details .document").first().click();
  const opened = page.getByRole("heading", { name: /^Document \d+$/ });
  await opened.waitFor();
  const title = await opened.textContent();
  const map = page.getByRole("img", { name: /^Map of 600 documents/ });
  await map.focus();
  await page.keyboard.press("+");
  await page.keyboard.press("ArrowLeft");
  const camera = async () =>
    JSON.parse(await page.evaluate<string>('sessionStorage.getItem("slm /clusters")')).camera;
  const before = await camera();
  assert.ok(before.scale > 0);
  /* of the canvas alone: what has the focus has a frame; two frames later it is drawn */
  const picture = () =>
    page.evaluate<string>(
      'new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(document.querySelector(".map canvas").toDataURL()))))',
    );
  const moved = await picture();
  const asked: string[] = [];
  page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => asked.push(String(payload))));
  const askedFor = (kind: string) => asked.filter((each) => each.includes(`"${kind}"`)).length;
  await page.reload();
  await page.getByLabel("Train on cluster 2").waitFor();
  assert.equal(await page.getByLabel("Train on cluster 2").isChecked(), false);
  await opened.waitFor();
  assert.equal(await opened.textContent(), title);
  assert.deepEqual(await camera(), before);
  assert.ok((await picture()) === moved, "the map looks as it did");
  assert.equal(askedFor("load clustering"), 1);
  await page.getByLabel("Search").focus();
  const path = join(folder, "example", "report.json");
  const report = readFileSync(path, "utf8");
  const { domains } = JSON.parse(report);
  const { trust } = domains.find(({ name }: { name: string }) => name === "medicine").histograms[0];
  writeFileSync(path, report.replaceAll(JSON.stringify(trust), '"told anew"'));
  await page.getByText("told anew").waitFor();
  assert.ok(askedFor("load domains") > 0);
  assert.equal(askedFor("load clustering"), 1, "a map that is there is not sent once more");
  await page.getByRole("heading", { name: /^Document \d+$/ }).waitFor();
  assert.equal(await page.getByLabel("Train on cluster 2").isChecked(), false);
  assert.ok(await page.getByLabel("Search").evaluate((input) => input.matches(":focus")));
  writeFileSync(path, report);
  await page.close();
});

test("clusters are written beside what was changed in the configuration meanwhile", async () => {
  const forge = join(folder, "forge.yaml");
  const before = readFileSync(forge, "utf8");
  const textWith = (exclude: string) =>
    `name: example\ncorpus: # by hand\n  paths: [corpus.jsonl]\nclusters:\n  exclude: ${exclude}\n`;
  writeFileSync(forge, textWith("[0]"));
  const page = await open("clusters");
  const box = (cluster: number) => page.getByLabel(`Train on cluster ${cluster}`);
  const shows = (clusters: readonly number[], isTaken: boolean) =>
    Promise.all(
      clusters.map((cluster) => {
        const box = `input[aria-label="Train on cluster ${cluster}"]`;
        return page.locator(`${box}${isTaken ? ":checked" : ":not(:checked)"}`).waitFor();
      }),
    );
  await shows([0], false);
  await box(2).uncheck();
  writeFileSync(forge, textWith("[6, 4]"));
  await shows([2, 4, 6], false);
  await shows([0, 1], true);
  await page.getByRole("button", { name: "Write to forge.yaml" }).click();
  const written = page.getByText("Written to");
  await written.waitFor();
  assert.equal(readFileSync(forge, "utf8"), textWith("[ 2, 4, 6 ]"));
  await written.waitFor({ state: "hidden" });
  await box(4).check();
  /* at once: the page has not heard of it */
  writeFileSync(forge, textWith("[1, 2, 4, 6]"));
  await page.getByRole("button", { name: "Write to forge.yaml" }).click();
  await written.waitFor();
  assert.equal(readFileSync(forge, "utf8"), textWith("[ 1, 2, 6 ]"));
  await shows([1, 2, 6], false);
  await shows([4], true);
  await page.close();
  writeFileSync(forge, before);
});

/** Another job beside the first, with the same clusters but for what is said of how good they are. */
function addJob(name: string): { clusters: string; config: string; remove(): void } {
  const job = join(folder, name);
  const clusters = join(job, "stages", "clusters");
  const config = join(folder, `${name}.yaml`);
  writeFileSync(config, `name: ${name}\ncorpus:\n  paths: [corpus.jsonl]\n`);
  cpSync(join(folder, "example", "stages", "clusters"), clusters, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(clusters, "clusters.json"), "utf8"));
  const coherence = { ...manifest.coherence, silhouette: 0.99 };
  writeFileSync(join(clusters, "clusters.json"), JSON.stringify({ ...manifest, coherence }));
  const remove = () => {
    rmSync(job, { recursive: true });
    rmSync(config);
  };
  return { clusters, config, remove };
}

test("the choice among a job's clusters is written into the configuration of that job alone", async () => {
  const other = addJob("example-2");
  const forge = join(folder, "forge.yaml");
  const before = readFileSync(forge, "utf8");
  const page = await open("clusters");
  const choose = async (clusters: string, config: string) => {
    await page.getByRole("combobox", { name: /^Clusters/ }).selectOption(clusters);
    await page.locator(`select:has(option:checked[value="${config}"])`).waitFor();
  };
  /* until the board has found the new configuration, the only one there is stands for any clusters */
  await choose(other.clusters, other.config);
  await choose(join(folder, "example", "stages", "clusters"), forge);
  await page.getByLabel("Train on cluster 2").uncheck();
  await choose(other.clusters, other.config);
  assert.equal(await page.getByLabel("Train on cluster 2").isChecked(), true);
  await page.getByLabel("Train on cluster 1").uncheck();
  await page.getByRole("button", { name: "Write to forge.yaml" }).click();
  await page.getByText(`Written to ${other.config}`).waitFor();
  assert.match(readFileSync(other.config, "utf8"), /\nclusters:\n {2}exclude: \[ 1 \]\n$/);
  assert.equal(readFileSync(forge, "utf8"), before);
  await choose(join(folder, "example", "stages", "clusters"), forge);
  assert.equal(await page.getByLabel("Train on cluster 2").isChecked(), false);
  await page.close();
  other.remove();
});

/** Stands between a page and the board; what it returns holds back the next answer to a request of a kind. */
async function holdAnswers(page: Page): Promise<(kind: string) => Promise<() => void>> {
  let wanted = "";
  let asked = -1;
  let onHeld: (letGo: () => void) => void = () => undefined;
  await page.routeWebSocket(/\/live/, (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((message) => {
      const { id, request } = JSON.parse(String(message));
      if (request?.kind === wanted) [asked, wanted] = [id, ""];
      server.send(message);
    });
    server.onMessage((message) => {
      const { type, id } = JSON.parse(String(message));
      if (type === "reply" && id === asked) onHeld(() => socket.send(message));
      else socket.send(message);
    });
  });
  return (kind) =>
    new Promise((done) => {
      [wanted, onHeld] = [kind, done];
    });
}

test("of clusters and searches asked for one after the other the last is shown, whichever comes first", async () => {
  const other = addJob("example-2");
  let hold!: (kind: string) => Promise<() => void>;
  const page = await open("clusters", "light", async (opened) => {
    hold = await holdAnswers(opened);
  });
  const choose = (clusters: string) =>
    page.getByRole("combobox", { name: /^Clusters/ }).selectOption(clusters);
  const first = join(folder, "example", "stages", "clusters");
  const shown = page.locator(".summary", { hasText: "600 documents", hasNotText: "silhouette 0.99" });
  await choose(first);
  await shown.waitFor();
  const late = hold("load clustering");
  await choose(other.clusters);
  await choose(first);
  (await late)();
  const search = hold("search documents");
  const words = (await page.locator(".cluster-name span:last-child").first().textContent()) ?? "";
  await page.getByLabel("Search").fill(words.split(" ")[0]);
  await page.getByLabel("Search").press("Enter");
  const found = await search;
  await page.locator(".cluster-table tbody button").first().click();
  const details = page.getByRole("heading", { name: /^Cluster \d+$/ });
  await details.waitFor();
  found();
  /* what is asked now is answered after all that was late */
  await page.getByRole("button", { name: "Write to forge.yaml" }).click();
  await page.getByText(`Written to ${join(folder, "forge.yaml")}`).waitFor();
  assert.ok(await shown.isVisible());
  assert.ok(await details.isVisible());
  await page.close();
  other.remove();
});

test("the comparison sorts, and names winners", async () => {
  const page = await open("comparison");
  await page.getByRole("columnheader", { name: /Macro ↑/ }).waitFor();
  const first = () => page.locator("tbody th").first().textContent();
  assert.equal(await first(), "slm-is");
  await page.screenshot({ path: join(images, "board-comparison.png"), fullPage: true });
  await checkAccess(page);
  await page.getByRole("button", { name: /Macro/ }).focus();
  await page.keyboard.press("Enter");
  assert.equal(await first(), "slm-nopt");
  await page.getByRole("columnheader", { name: /Macro ↓/ }).waitFor();
  assert.ok(await page.getByRole("button", { name: /Macro/ }).evaluate((own) => own.matches(":focus")));
  assert.equal(await page.locator(".winners strong").first().textContent(), "slm-is");
  await page.close();
});

test("the comparison names the winner at a cost for a number of domains, in a table beside the curve", async () => {
  const page = await open("comparison");
  const winners = page.getByRole("region", { name: "Winners by cost" });
  const row = (domain: string) => winners.locator("tr", { hasText: domain });
  await winners.waitFor();
  /* pretraining for each domain is the best that money buys, and dear for many domains */
  assert.match((await row("medicine").locator("td").last().textContent()) ?? "", /slm-nopt from 20G.*slm-is/);
  await page.getByRole("combobox", { name: /^Domains/ }).selectOption("50");
  await page.getByText(/Best for their cost: slm-nopt \(1TFLOP/).waitFor();
  const within = async (domain: string, budget: string) => {
    const headings = await winners.getByRole("columnheader").allTextContents();
    const at = headings.indexOf(`≤ ${budget}`);
    assert.ok(at > 0, headings.join(", "));
    return row(domain)
      .locator("td")
      .nth(at - 1)
      .textContent();
  };
  assert.match((await within("contracts", "1T")) ?? "", /^slm-nopt/);
  assert.match((await within("contracts", "2T")) ?? "", /^slm-pn/);
  assert.match((await within("contracts", "50T")) ?? "", /^slm-is/);
  assert.equal(await page.locator(".legend .line-sample").count(), 4);
  await page.getByText("Values", { exact: true }).click();
  const points = page.getByRole("region", { name: "Points of the chart" });
  assert.equal(await points.getByRole("row").count(), 1 + 4 * 3);
  await checkAccess(page);
  await page.close();
});

test("reports of several jobs are compared in one page, and stay chosen", async () => {
  const other = join(folder, "second");
  mkdirSync(other);
  await writeReport(other, join("..", "example", "stages", "clusters"), "second");
  const page = await open("comparison");
  const box = page.getByRole("checkbox", { name: "second" });
  await box.focus();
  await page.keyboard.press("Space");
  await page.getByRole("rowheader", { name: "second: slm-is" }).first().waitFor();
  assert.ok(await box.evaluate((own) => own.matches(":focus")));
  assert.equal(await page.locator(".legend .line-sample").count(), 8);
  await checkAccess(page);
  await page.reload();
  await page.getByRole("rowheader", { name: "second: slm-is" }).first().waitFor();
  await page.getByRole("checkbox", { name: "second" }).uncheck();
  await page.getByRole("rowheader", { name: "slm-is", exact: true }).first().waitFor();
  await page.close();
  rmSync(other, { recursive: true });
});

test("report.html is the comparison by itself, without a server", async () => {
  const report = JSON.parse(readFileSync(join(folder, "example", "report.json"), "utf8")) as ComparisonReport;
  const file = join(folder, "report.html");
  writeFileSync(file, reportPage({ ...report, name: "a </script><b>name" }));
  const context = await browser.newContext({ viewport: { width: 1280, height: 1600 }, offline: true });
  const page = await context.newPage();
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  await page.goto(`file://${file}`);
  await page.locator(".winners li").first().waitFor();
  assert.match((await page.locator(".summary").textContent()) ?? "", /^a <\/script><b>name: 48 of 48 models/);
  assert.equal(await page.locator(".domain-card").count(), report.domains.length);
  assert.equal(await page.locator(".domain-card .bars .own").count(), 2 * report.generic.clusters);
  await page.getByRole("button", { name: /^medicine/ }).click();
  assert.equal(await page.locator("th[aria-sort=ascending]").textContent(), "medicine ↑");
  await checkAccess(page);
  assert.deepEqual(problems, []);
  await context.close();
});
