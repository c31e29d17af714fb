import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readRunFolder } from "../../extension/host-data/run-folder.js";
import {
  describeAdvance,
  describeBriefly,
  describeEnd,
  describeProgress,
  describeRun,
  formatSeconds,
  secondsLeft,
} from "../../extension/shared/run-text.js";
import { groupsOf, labelsOf, type RunSummary } from "../../extension/shared/runs.js";

const running: RunSummary = {
  ...{
    kind: "run",
    id: "/runs/a",
    name: "a",
    folder: "/runs",
    group: "",
    state: "running",
    created: "",
    updated: "",
    host: "here",
    pid: 1,
  },
  ...{
    step: 50,
    tokens: 5000,
    loss: 2.34567,
    tokensPerSecond: 100,
    message: null,
    checkpoints: [],
    job: null,
  },
  ...{ budget: { steps: 200, tokens: null }, progress: null, secondsLeft: null },
};

test("a running run says step, loss, speed and the time left, a finished one how it ended", () => {
  assert.equal(describeRun(running), "step 50 of 200 · loss 2.346 · 100 tokens/s · 3 min left");
  assert.equal(describeRun({ ...running, state: "finished" }), "finished · step 50 of 200 · loss 2.346");
  assert.equal(describeProgress(running), "25%");
  assert.equal(describeAdvance(running), "step 50 of 200 · loss 2.346 · 100 tokens/s · 3 min left");
});

test("where a view is narrow, time left and speed come before what is cut off", () => {
  assert.equal(describeBriefly(running), "3 min left · 100 tok/s · loss 2.346 · 50/200");
  const stopping = { ...running, state: "stopping", budget: { steps: null, tokens: null } } as const;
  assert.equal(describeBriefly(stopping), "stopping · 100 tok/s · loss 2.346 · step 50");
  assert.equal(describeBriefly({ ...running, state: "failed" }), "failed · loss 2.346 · 50/200");
  assert.equal(describeBriefly({ ...running, state: "damaged", loss: null }), "damaged");
});

test("the time left follows the budget: in steps, in tokens, or it is unknown", () => {
  assert.equal(secondsLeft(running), 150);
  assert.equal(secondsLeft({ ...running, budget: { steps: null, tokens: 6000 } }), 10);
  assert.equal(secondsLeft({ ...running, budget: { steps: null, tokens: null } }), undefined);
  assert.equal(secondsLeft({ ...running, state: "stopped" }), undefined);
  assert.equal(secondsLeft({ ...running, step: 0, tokens: 0 }), undefined);
  assert.deepEqual([0, 89, 90, 3599, 7200, 12_000, 200_000].map(formatSeconds), [
    ...["0 s", "89 s", "2 min", "1 h", "2 h", "3 h 20 min", "2 d 7 h"],
  ]);
});

test("the limit that is reached first decides, whichever it is", () => {
  const both = { ...running, budget: { steps: 100_000, tokens: 6000 } };
  assert.equal(secondsLeft(both), 10);
  assert.equal(describeProgress(both), "83%");
  assert.equal(secondsLeft({ ...running, budget: { steps: 60, tokens: 1e9 } }), 10);
  assert.equal(secondsLeft({ ...both, tokens: 7000 }), 0);
});

test("what the training itself reckons is shown, also of limits that only it knows", async () => {
  const folder = mkdtempSync(join(tmpdir(), "slm-run-text-"));
  try {
    writeFileSync(join(folder, "run.yaml"), "training: { budget: { minutes: 10 } }\n");
    const { pid } = process;
    const status = { ...running, pid, host: hostname(), processStart: "", progress: 0.25, secondsLeft: 450 };
    writeFileSync(join(folder, "run.json"), JSON.stringify(status));
    const run = (await readRunFolder(folder, folder, [])) as RunSummary;
    assert.match(describeRun(run), /^step 50 · .* · 8 min left$/);
    assert.equal(describeProgress(run), "25%");
    const within = { ...run, budget: { steps: 100_000, tokens: null } };
    assert.equal(secondsLeft(within), 450);
    assert.equal(describeProgress({ ...within, state: "finished" }), "100%");
    assert.equal(secondsLeft({ ...run, state: "stopped" }), undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("only ends that nobody asked for are told", () => {
  assert.equal(describeEnd(running), undefined);
  assert.equal(describeEnd({ ...running, state: "stopped" }), undefined);
  assert.deepEqual(describeEnd({ ...running, state: "finished" }), {
    text: "a finished at step 50, loss 2.346.",
    isFailure: false,
  });
  assert.equal(describeEnd({ ...running, state: "failed", message: "out of memory" })?.isFailure, true);
});

test("runs and folders of runs are told apart by as much of their paths as it takes", () => {
  const run = (folder: string, group: string, name: string) => ({
    ...running,
    ...{ id: `${folder}/${name}`, name, folder, group },
  });
  const runs = [
    run("/w/a/runs", "runs", "legal"),
    run("/w/b/runs", "runs", "legal"),
    run("/w/b/runs/rates", "runs/rates", "legal"),
    run("/w/b/runs/rates", "runs/rates", "only"),
    run("/elsewhere", "/elsewhere", "legal"),
  ];
  assert.deepEqual(
    [...labelsOf(runs).values()],
    ["a/runs/legal", "b/runs/legal", "runs/rates/legal", "only", "/elsewhere/legal"],
  );
  assert.deepEqual(
    [...groupsOf(runs)],
    [
      ["/w/a/runs", "a/runs"],
      ["/w/b/runs", "b/runs"],
      ["/w/b/runs/rates", "runs/rates"],
      ["/elsewhere", "/elsewhere"],
    ],
  );
  const opened = [run("/w/a", "", "legal"), run("/w/b", "", "legal")];
  assert.deepEqual([...labelsOf(opened).values()], ["a/legal", "b/legal"]);
  assert.deepEqual([...groupsOf(opened).values()], ["a", "b"]);
  assert.deepEqual([...groupsOf(opened.slice(1)).values()], [""]);
});
