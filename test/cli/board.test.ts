/** `slm board` as a process over real run folders: who is let in, and what a viewer is told. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { slmPath } from "../../cli/version.js";
import type { ToHost, ToPage } from "../../extension/shared/protocol.js";
import { StepSeries } from "../../extension/shared/series.js";
import { slmIn, writeConfig, writeCorpus } from "./tiny-run.js";

let folder: string;
let board: ChildProcess;
let address: URL;

function startBoard(...options: string[]): Promise<{ child: ChildProcess; address: URL }> {
  const main = slmPath();
  const child = spawn(process.execPath, [main, "board", "--json", ...options, folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  return new Promise((done, fail) => {
    child.stdout.once("data", (text) => done({ child, address: new URL(JSON.parse(String(text)).address) }));
    child.once("close", () => fail(new Error("slm board ended")));
  });
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "slm-board-test-"));
  writeCorpus(join(folder, "corpus.jsonl"), 30);
  const config = writeConfig(folder, "first", { data: { train: "corpus.jsonl", holdOut: 0.2 } });
  const { code, stderr } = await slmIn(folder, "train", config);
  assert.equal(code, 0, stderr);
  const started = await startBoard();
  board = started.child;
  address = started.address;
});
after(() => {
  board.kill();
  rmSync(folder, { recursive: true });
});

interface Answer {
  readonly status: number | undefined;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
}

/** A request with a path as it is, which fetch would tidy up. */
function get(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Answer> {
  return new Promise((done, fail) => {
    const asked = request(
      { host: address.hostname, port: address.port, path, headers, method },
      (response) => {
        let text = "";
        response.on("data", (part) => {
          text += part;
        });
        response.on("end", () => done({ status: response.statusCode, headers: response.headers, text }));
      },
    );
    asked.on("error", fail);
    asked.end();
  });
}

test("pages and bundles are served to whoever has the token, under a strict policy", async () => {
  for (const page of ["", "dashboard", "clusters", "comparison"]) {
    const { status, headers, text } = await get(`/${page}${address.search}`);
    assert.equal(status, 200, page);
    const policy = String(headers["content-security-policy"]);
    assert.match(policy, /default-src 'none'; script-src 'nonce-[\w-]{20,}';/);
    assert.doesNotMatch(policy, /unsafe/);
    for (const [, bundle] of text.matchAll(/(?:src|href)="(\/pages\/[^"]+)"/g))
      assert.equal((await get(bundle.replaceAll("&amp;", "&"))).status, 200, bundle);
  }
});

test("a missing or wrong token is refused everywhere", async () => {
  const wrong = ["", "?token=", "?token=wrong", `?token=${address.searchParams.get("token")}x`];
  for (const search of wrong) {
    for (const path of ["/", "/dashboard", "/pages/dashboard.js", "/anything"]) {
      const { status, text } = await get(`${path}${search}`);
      assert.equal(status, 403, path + search);
      assert.match(text, /token is missing or wrong/);
    }
    await assert.rejects(view(`/live${search}`), /403/);
  }
});

test("callers that are refused and break off at once do not end the board", async () => {
  const asked = [
    "GET /live HTTP/1.1",
    `Host: ${address.host}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    ...["", ""],
  ].join("\r\n");
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      const socket = connect(Number(address.port), address.hostname);
      await new Promise<void>((done, fail) => socket.once("connect", done).once("error", fail));
      await new Promise((done) => socket.write(asked, done));
      socket.resetAndDestroy();
    }),
  );
  assert.equal((await get(`/dashboard${address.search}`)).status, 200);
});

test("other sites and other names of this machine are refused", async () => {
  const path = `/dashboard${address.search}`;
  assert.equal((await get(path, { origin: "https://example.org" })).status, 403);
  assert.equal((await get(path, { origin: "null" })).status, 403);
  assert.equal((await get(path, { host: "example.org" })).status, 403);
  assert.equal((await get(path, { host: `rebound.example:${address.port}` })).status, 403);
  assert.equal((await get(path, { host: `localhost:${address.port}` })).status, 200);
  await assert.rejects(view(`/live${address.search}`, "https://example.org"), /403/);
  assert.equal((await get(path, {}, "POST")).status, 405);
});

test("no path leads to a file", async () => {
  for (const path of [
    "/../package.json",
    "/pages/../../package.json",
    "/pages/%2e%2e/%2e%2e/package.json",
    "/pages/..%2f..%2fpackage.json",
    "/pages//etc/passwd",
    "/first/run.yaml",
  ]) {
    const { status, text } = await get(`${path}${address.search}`);
    assert.equal(status, 404, path);
    assert.doesNotMatch(text, /"version"|root:/);
  }
});

/** A viewer: collects what it is told. */
class Viewer {
  readonly messages: ToPage[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(readonly socket: WebSocket) {
    socket.on("message", (data) => {
      this.messages.push(JSON.parse(String(data)));
      for (const look of this.#waiting) look();
    });
  }

  send(message: ToHost): void {
    this.socket.send(JSON.stringify(message));
  }

  /** The first thing found in the messages, now or later. */
  until<Found>(find: (messages: readonly ToPage[]) => Found | undefined): Promise<Found> {
    return new Promise((done) => {
      const look = () => {
        const found = find(this.messages);
        if (found === undefined) return;
        this.#waiting.delete(look);
        done(found);
      };
      this.#waiting.add(look);
      look();
    });
  }

  runs() {
    return this.until((all) => all.findLast((message) => message.type === "runs")?.runs);
  }

  /** Rows of a run so far, once there are so many. */
  rows(run: string, count: number): Promise<StepSeries> {
    return this.until((all) => {
      const series = new StepSeries();
      for (const message of all)
        if (message.type === "rows" && message.run === run) series.unpack(message.first, message.rows);
      return series.length >= count ? series : undefined;
    });
  }

  ask(request: object): Promise<ToPage> {
    this.send({ type: "request", id: 7, request } as ToHost);
    return this.until((all) =>
      all.findLast((message) => message.type === "reply" || message.type === "failure"),
    );
  }
}

function view(path: string, origin = address.origin, host = address.host): Promise<Viewer> {
  return new Promise((done, fail) => {
    const socket = new WebSocket(`ws://${host}${path}`, { origin });
    const viewer = new Viewer(socket);
    socket.once("open", () => done(viewer));
    socket.once("error", fail);
  });
}

test("ten viewers at once see the run, and each new step as it is written", async () => {
  const copy = join(folder, "runs", "growing");
  cpSync(join(folder, "runs", "first"), copy, { recursive: true });
  const viewers = await Promise.all(Array.from({ length: 10 }, () => view(`/live${address.search}`)));
  for (const viewer of viewers) viewer.send({ type: "ready", page: "dashboard" });
  for (const viewer of viewers) {
    await viewer.until((all) =>
      all.find((message) => message.type === "runs" && message.runs.some(({ id }) => id === copy)),
    );
    viewer.send({ type: "watch", runs: [copy] });
    const series = await viewer.rows(copy, 20);
    assert.deepEqual(
      [...series.column("step")],
      Array.from({ length: 20 }, (_, at) => at + 1),
    );
  }
  const metrics = join(copy, "metrics.jsonl");
  const line = (step: number) => JSON.stringify({ kind: "step", step, tokens: 1, loss: 2.5 });
  appendFileSync(metrics, `${line(21)}\n{"kind":"st`);
  for (const viewer of viewers) assert.equal((await viewer.rows(copy, 21)).column("loss")[20], 2.5);
  /* the half line is finished, and another follows */
  appendFileSync(metrics, `ep","step":22,"loss":2}\n${line(23)}\n`);
  assert.deepEqual([...(await viewers[0].rows(copy, 23)).column("step").slice(20)], [21, 22, 23]);

  const before = readFileSync(metrics, "utf8").split("\n");
  writeFileSync(metrics, `${before.slice(0, 11).join("\n")}\n`);
  await viewers[1].until((all) => {
    const rows = all.filter((message) => message.type === "rows");
    return rows.at(-1)!.first === 0 && rows.at(-1)!.rows.count > 0 ? true : undefined;
  });
  for (const viewer of viewers) viewer.socket.close();
});

test("a viewer that comes back is sent everything again", async () => {
  const run = join(folder, "runs", "first");
  for (let round = 0; round < 2; round++) {
    const viewer = await view(`/live${address.search}`);
    viewer.send({ type: "ready", page: "dashboard" });
    await viewer.runs();
    viewer.send({ type: "watch", runs: [run, "/etc", join(folder, "..")] });
    assert.equal((await viewer.rows(run, 20)).length, 20);
    assert.ok(viewer.messages.every((message) => !("run" in message) || message.run === run));
    viewer.socket.close();
  }
});

test("the board only shows, unless it was told otherwise", async () => {
  const viewer = await view(`/live${address.search}`);
  viewer.send({ type: "ready", page: "dashboard" });
  const run = join(folder, "runs", "first");
  const answer = await viewer.ask({ kind: "stop run", run });
  assert.equal(answer.type, "failure");
  assert.match((answer as { message: string }).message, /only shows.*--allow-control/);
  viewer.socket.close();
});

test("with --allow-control a configuration is started and clusters are chosen, and nothing outside is touched", async () => {
  const forge = join(folder, "forge.yaml");
  const text =
    "# my job\nname: job\ncorpus:\n  paths: [corpus.jsonl] # generic\nclusters:\n  k: 4\n  exclude: [1]\n";
  writeFileSync(forge, text);
  mkdirSync(join(folder, "elsewhere"));
  const { child, address: own } = await startBoard("--allow-control");
  try {
    const open = () => view(`/live${own.search}`, own.origin, own.host);
    const viewer = await open();
    viewer.send({ type: "ready", page: "clusters" });
    const written = await viewer.ask({
      kind: "write cluster choice",
      config: forge,
      take: [1],
      leave: [3, 0],
    });
    assert.equal(written.type, "reply", JSON.stringify(written));
    assert.equal(readFileSync(forge, "utf8"), text.replace("[1]", "[ 0, 3 ]"));
    const outside = await (await open()).ask({ kind: "start run", config: "/etc/hosts" });
    assert.match((outside as { message: string }).message, /is no configuration in the folders shown/);
    const other = await open();
    other.send({ type: "ready", page: "dashboard" });
    const started = await other.ask({ kind: "start run", config: join(folder, "first.yaml") });
    assert.equal(started.type, "reply", JSON.stringify(started));
    await other.until((all) =>
      all.find(
        (message) =>
          message.type === "runs" &&
          message.runs.some(({ name, state }) => name === "first-2" && state === "finished"),
      ),
    );
  } finally {
    child.kill();
  }
});

test("what cannot be is said in a sentence", async () => {
  const missing = await slmIn(folder, "board", "nowhere");
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /nowhere: is no folder/);
  const taken = await slmIn(folder, "board", "--port", address.port);
  assert.match(taken.stderr, /port \d+ is taken\. Give another with --port/);
});
