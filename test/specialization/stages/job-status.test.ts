/** What a job tells of itself in its folder: where it is, how it ended, and whether it was asked to stop. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Job, JobStopped } from "../../../specialization/stages/job.js";
import { JOB_STATUS, parseJobStatus } from "../../../specialization/stages/job-status.js";
import { JobStatusFile, readJob } from "../../../specialization/stages/job-status-file.js";
import { requestStop } from "../../../specialization/training/run-folder.js";
import { TinySetting, tinyJob } from "./tiny-job.js";

const setting = new TinySetting();

function emptyFolder(name: string): string {
  const folder = join(setting.folder, name);
  mkdirSync(folder);
  return folder;
}

test("a stage that has begun is told at once, how far it is now and then", () => {
  const folder = emptyFolder("stages");
  const start = { args: ["run", "/a/forge.yaml"], folder: "/a" };
  const status = new JobStatusFile(folder, start);
  const stage = () => readJob(folder)?.status.stage;
  assert.equal(stage(), "");
  status.stage("tokens", "generic");
  assert.equal(stage(), "tokens: generic");
  status.stage("tokens", "generic: 12 tokens");
  assert.equal(stage(), "tokens: generic");
  status.stage("clusters");
  assert.equal(stage(), "clusters");
  const found = readJob(folder);
  assert.deepEqual([found?.state, found?.alive], ["running", true]);
  assert.deepEqual([found?.status.job, found?.status.start], [folder, start]);
  assert.deepEqual([found?.status.pid, found?.status.host], [process.pid, hostname()]);
  status.end("failed", "the disk is full");
  assert.deepEqual([readJob(folder)?.state, readJob(folder)?.status.message], ["failed", "the disk is full"]);
});

test("a job whose process is gone is interrupted; a file that tells nothing is none", () => {
  const folder = emptyFolder("gone");
  new JobStatusFile(folder, undefined).stage("tokens");
  const file = join(folder, JOB_STATUS);
  const text = readFileSync(file, "utf8");
  const { pid } = spawnSync(process.execPath, ["-e", ""]);
  writeFileSync(file, text.replace(`"pid":${process.pid}`, `"pid":${pid}`));
  assert.deepEqual([readJob(folder)?.state, readJob(folder)?.alive], ["interrupted", false]);
  writeFileSync(file, text.replace(`"host":"${hostname()}"`, '"host":"another machine"'));
  assert.deepEqual([readJob(folder)?.state, readJob(folder)?.alive], ["running", undefined]);
  for (const broken of ["", "{", "null", '"running"', text.replace('"running"', '"dancing"')]) {
    assert.equal(parseJobStatus(broken), undefined);
    writeFileSync(file, broken);
    assert.equal(readJob(folder), undefined);
  }
  rmSync(file);
  assert.equal(readJob(folder), undefined);
});

test("a job tells how it ended, and stops between stages when it was asked to", async () => {
  const job = setting.job("told", tinyJob());
  const { folder } = job.config.output;
  const state = () => readJob(folder)?.state;
  assert.equal(
    await job.tracked(async () => {
      job.stage("tokens");
      assert.equal(state(), "running");
      return 3;
    }),
    3,
  );
  assert.equal(state(), "finished");

  const failing = job.tracked(async () => {
    throw new Error("no such text");
  });
  await assert.rejects(failing, /no such text/);
  assert.deepEqual([state(), readJob(folder)?.status.message], ["failed", "no such text"]);

  const asked = job.tracked(async () => {
    job.stage("tokens");
    requestStop(folder);
    job.stage("clusters");
    assert.fail("it went on");
  });
  await assert.rejects(asked, JobStopped);
  assert.deepEqual([state(), readJob(folder)?.status.message], ["stopped", null]);
  /* the request is of the time before */
  await job.tracked(async () => job.stage("tokens"));
  assert.equal(state(), "finished");
  assert.ok(!existsSync(join(folder, "control.json")));

  const stop = new AbortController();
  const signalled = new Job(job.gpu, job.config, {}, stop.signal);
  const aborted = signalled.tracked(async () => {
    stop.abort();
    signalled.stage("tokens");
  });
  await assert.rejects(aborted, (error) => signalled.isStop(error));
  assert.equal(state(), "stopped");
});
