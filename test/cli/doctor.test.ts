/** `slm doctor`: what it reports with an adapter, without one, and where Dawn does not load. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkedVariants } from "../../cli/dispatch-check.js";
import { Random } from "../../engine/index.js";
import { variantFor as attentionVariant } from "../../engine/kernels/attention-tiles.js";
import type { Target } from "../../engine/kernels/index.js";
import { variantFor as matmulVariant } from "../../engine/kernels/matmul-tiles.js";
import { ANY_TARGET } from "../../engine/kernels/target.js";
import { slm } from "./slm.js";

/** Dawn's native code writes these to the file descriptor itself, with native frames; nothing here can hold them back. */
function withoutDawnsNotes(stderr: string): string {
  return stderr.replaceAll(/^Warning: .*\n(?: +at \S+ \(.*\.cpp:\d+\)\n+)*/gm, "");
}

describe("slm doctor", () => {
  test("--json reports the machine and every adapter, and nothing else on stdout", async () => {
    const { code, stdout } = await slm(["doctor", "--json"]);
    const report = JSON.parse(stdout);
    assert.equal(code, 0);
    assert.equal(report.trains, true);
    assert.equal(report.host.nodeVersion, process.version);
    assert.equal(report.dawn.loads, true);
    assert.match(report.dawn.version, /^\d+\.\d+\.\d+$/);
    assert.equal(report.adapters.filter((a: { chosen: boolean }) => a.chosen).length, 1);
    for (const adapter of report.adapters) {
      if (adapter.openedInstead !== undefined) continue;
      assert.ok(["gpu", "software"].includes(adapter.description.kind));
      assert.ok(adapter.description.features.length > 0);
      assert.ok(adapter.description.limits.maxBufferSize > 0);
      assert.ok(Array.isArray(adapter.description.subgroupMatrices));
      assert.equal(adapter.dispatch.passed, true);
      assert.ok(adapter.dispatch.problems > 0);
      assert.ok(adapter.ceilings.flops > 1e6 && adapter.ceilings.bytes > 1e6);
    }
    if (process.platform === "linux") {
      assert.equal(report.host.cLibrary.family, "glibc");
      assert.ok(report.host.vulkanLoader.path.includes("libvulkan.so.1"));
      assert.ok(report.host.drivers.length > 0);
    }
  });

  test("for people says that training works, and on what", async () => {
    const { code, stdout } = await slm(["doctor"]);
    assert.equal(code, 0);
    for (const part of [
      /^slm-forge /,
      /^ {2}Node +\d+/m,
      /^ {2}Dawn +webgpu /m,
      /^Adapter 0: /m,
      /^ {2}dispatches +correct/m,
      /^ {2}copy +.*B\/s/m,
      /^Training works here, on /m,
    ]) {
      assert.match(stdout, part);
    }
    assert.ok(stdout.split("\n").every((line) => line.length <= 120));
  });

  test("without an adapter names what is missing and the remedy, in one line each, and fails", {
    skip: process.platform !== "linux",
  }, async () => {
    const env = { VK_DRIVER_FILES: "/nonexistent" };
    const people = await slm(["doctor"], { env });
    assert.equal(people.code, 1);
    assert.match(people.stdout, /! VK_DRIVER_FILES=\/nonexistent .*\n {4}→ unset VK_DRIVER_FILES/);
    assert.match(people.stdout, /^Training does not work here\.$/m);
    assert.doesNotMatch(people.stdout, /^ +at /m);
    assert.equal(withoutDawnsNotes(people.stderr), "");
    const scripts = await slm(["doctor", "--json"], { env });
    assert.equal(scripts.code, 1);
    const report = JSON.parse(scripts.stdout);
    assert.deepEqual([report.trains, report.adapters], [false, []]);
    assert.deepEqual(
      report.problems.map((p: { code: string }) => p.code),
      ["driver-override"],
    );
    for (const { remedy } of report.problems) assert.ok(remedy && !remedy.includes("\n"));
  });

  test("where Dawn does not load says so, and fails", async () => {
    const { code, stdout, stderr } = await slm(["doctor", "--json"], {
      env: { WEBGPU_DIST: "/nonexistent" },
    });
    assert.equal(code, 1);
    const report = JSON.parse(stdout);
    assert.deepEqual([report.trains, report.dawn.loads], [false, false]);
    assert.deepEqual(
      report.problems.map((p: { code: string }) => p.code),
      ["dawn-does-not-load"],
    );
    assert.match(report.problems[0].problem, /nonexistent\/dawn\.node/);
    assert.match(report.problems[0].remedy, /WEBGPU_DIST/);
    assert.equal(stderr, "");
  });

  for (const [backend, problem] of [
    ["null", "SLM_BACKEND=null: the null backend only compiles kernels, and runs nothing"],
    ["opengl", "SLM_BACKEND=opengl: there is no adapter of this backend"],
  ]) {
    test(`with SLM_BACKEND=${backend} blames that, and no driver`, async () => {
      const { code, stdout } = await slm(["doctor", "--json"], { env: { SLM_BACKEND: backend } });
      assert.equal(code, 1);
      const { trains, adapters, problems } = JSON.parse(stdout);
      assert.equal(trains, false);
      assert.deepEqual(
        problems.map((p: { problem: string }) => p.problem),
        [problem],
      );
      assert.match(problems[0].remedy, /^unset SLM_BACKEND/);
      for (const { name, error, dispatch } of adapters)
        assert.deepEqual([name, error, dispatch], ["null backend", undefined, undefined]);
    });
  }

  test("fails where the adapter that was asked for does not exist, and still shows those that do", async () => {
    const { code, stdout } = await slm(["doctor", "--json", "--adapter", "GeForce 9999"]);
    assert.equal(code, 1);
    const report = JSON.parse(stdout);
    assert.ok(report.adapters.length > 0);
    assert.deepEqual(
      report.problems.map((p: { code: string }) => p.code),
      ["no-such-adapter"],
    );
  });
});

describe("the kernels that slm doctor checks", () => {
  const GPU = { ...ANY_TARGET, f16: true };
  const CPU = { ...ANY_TARGET, software: true, subgroupSize: 8, tensorCores: undefined };
  const chosen = (target: Target) =>
    checkedVariants(target).map(
      ({ definition, variant, real }) => `${definition.name} ${variant.name} ${real}`,
    );

  test("are those of a training step, in the variant and the types that training uses there", () => {
    for (const part of [
      "matmul tensor f16",
      "attention tensor f16",
      "cross-entropy rows f16",
      "adamw arena f16",
    ])
      assert.ok(chosen(GPU).includes(part), part);
    assert.ok(chosen(GPU).includes("attention tiled f32"));
    assert.ok(!chosen({ ...GPU, f16: false }).some((name) => name.endsWith("f16")));
    for (const part of ["matmul cpu f32", "attention cpu f32", "cross-entropy cpu f32", "softmax rows f32"])
      assert.ok(chosen(CPU).includes(part), part);
    assert.ok(!chosen(CPU).some((name) => name.endsWith("f16")));
    for (const target of [GPU, CPU, { ...GPU, subgroupSize: 0 }])
      for (const { definition, variant, real } of checkedVariants(target)) {
        const shape = { m: 64, n: 64, k: 64, a: real, b: real, c: real };
        if (definition.name === "matmul") assert.equal(variant.name, matmulVariant(target, shape));
        if (definition.name === "attention") assert.equal(variant.name, attentionVariant(target, real));
      }
  });

  test("are given one problem each on CPU drivers, which compile for seconds, but for a product and sums", () => {
    const counts = (target: Target) =>
      Object.fromEntries(
        checkedVariants(target).map(({ definition, variant, real }) => [
          definition.name,
          definition.cases({ target, random: new Random(1), variant: variant.name, real }).length,
        ]),
      );
    const [few, all] = [counts(CPU), counts(GPU)];
    assert.deepEqual([few.attention, few["cross-entropy"], few.adamw], [1, 1, 1]);
    for (const count of [few.matmul, ...Object.values(all)]) assert.ok(count > 1);
  });
});

describe("slm without an adapter", { skip: process.platform !== "linux" }, () => {
  for (const command of [["demo"], ["kernels", "check"]]) {
    test(`${command.join(" ")} ends with one message and a code`, async () => {
      const { code, stdout, stderr } = await slm(command, { env: { VK_DRIVER_FILES: "/nonexistent" } });
      assert.equal(code, 1);
      assert.equal(stdout, "");
      assert.match(stderr, /^slm: No graphics adapter was found.*slm doctor/m);
      assert.doesNotMatch(withoutDawnsNotes(stderr), /^ +at /m);
    });
  }
});
