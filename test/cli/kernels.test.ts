/** `slm kernels` as a process: each subcommand's JSON, its errors, and what it does with a kernel that is wrong. */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { shaderPath, shadersFolder } from "../../engine/gpu/index.js";
import { KERNELS } from "../../engine/kernels/index.js";
import { slm } from "./slm.js";

const KERNEL = "softmax";
const FILE = "softmax.wgsl";

describe("slm kernels", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "slm-kernels-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  /** The path of a copy of the kernel, changed. */
  function copy(change: (text: string) => string): string {
    const path = join(folder, FILE);
    copyFileSync(join(shadersFolder(), FILE), path);
    writeFileSync(path, change(readFileSync(path, "utf8")));
    return path;
  }

  test("list --json has every kernel with its formula, variants, work and file", async () => {
    const { code, stdout } = await slm(["kernels", "list", "--json"]);
    assert.equal(code, 0);
    const rows = JSON.parse(stdout);
    assert.deepEqual(
      rows.map((r: { name: string }) => r.name),
      KERNELS.map((k) => k.name),
    );
    for (const row of rows) {
      assert.ok(row.formula && row.flops >= 0 && row.bytes > 0, row.name);
      for (const v of row.variants)
        assert.ok(v.purpose && readFileSync(shaderPath(v.file.replace(/^.*\//, ""))).length > 0);
    }
  });

  test("check prints the worst error and a seed that repeats it", async () => {
    const first = await slm(["kernels", "check", KERNEL, "--real", "f32", "--json"]);
    assert.equal(first.code, 0, first.stderr);
    const { seed, results } = JSON.parse(first.stdout);
    assert.ok(
      results.length > 0 &&
        results.every((r: { passed: boolean; worstError: number }) => r.passed && r.worstError < 1e-5),
    );
    const again = await slm(["kernels", "check", KERNEL, "--real", "f32", "--json", "--seed", String(seed)]);
    assert.deepEqual(JSON.parse(again.stdout).results, results);
    const people = await slm(["kernels", "check", KERNEL, "--seed", "7"]);
    assert.match(people.stdout, /^ok {4}softmax .* worst \d\.\de-\d+ \(.*\) over \d+ problems$/m);
    assert.match(people.stdout, /repeat with --seed 7$/m);
  });

  test("bench --json gives time, rates and the fraction of the measured ceiling", async () => {
    const { code, stdout } = await slm([
      "kernels",
      "bench",
      KERNEL,
      "--real",
      "f32",
      "--against",
      "HEAD",
      "--json",
    ]);
    assert.equal(code, 0);
    const { ceilings, rows } = JSON.parse(stdout);
    assert.ok(ceilings.flops > 1e6 && ceilings.bytes > 1e6);
    for (const row of rows) {
      for (const key of ["milliseconds", "gigabytes", "ceiling", "against"])
        assert.ok(row[key] > 0, `${key} of ${row.variant}`);
      assert.ok(["arithmetic", "memory"].includes(row.bound));
    }
  });

  test("bench --against something that does not exist says so", async () => {
    const { code, stderr } = await slm(["kernels", "bench", KERNEL, "--against", "no-such-revision"]);
    assert.equal(code, 1);
    assert.match(stderr, /slm: --against no-such-revision: neither a file nor a git revision/);
  });

  test("watch --once compiles, checks and times the file it is given", async () => {
    const path = copy((text) => text);
    const { code, stdout, stderr } = await slm([
      "kernels",
      "watch",
      path,
      "--once",
      "--json",
      "--real",
      "f32",
    ]);
    assert.equal(code, 0, stderr);
    const report = JSON.parse(stdout);
    assert.equal(report.file, path);
    assert.ok(report.results.length > 0);
    for (const r of report.results)
      assert.ok(r.passed && r.milliseconds > 0 && r.kernel === KERNEL && r.real === "f32");
  });

  test("watch shows an error in the file as a compiler does, and fails", async () => {
    const path = copy((text) => text.replace(/@compute/, "@compute\nlet wrong = ;\n@compute"));
    const line = readFileSync(path, "utf8").split("\n").indexOf("let wrong = ;") + 1;
    const people = await slm(["kernels", "watch", path, "--once"]);
    assert.equal(people.code, 1);
    assert.match(
      people.stdout,
      new RegExp(`softmax\\.wgsl:${line}:\\d+: error: .*\n ${line} \\| let wrong = ;\n +\\| +\\^`),
    );
    const scripts = await slm(["kernels", "watch", path, "--once", "--json"]);
    assert.equal(scripts.code, 1);
    const [diagnostic] = JSON.parse(scripts.stdout).diagnostics;
    assert.deepEqual([diagnostic.line, diagnostic.severity], [line, "error"]);
  });

  test("watch --once fails where the answers are wrong", async () => {
    const path = copy((text) => text.replaceAll("exp(", "sqrt("));
    const { code, stdout } = await slm(["kernels", "watch", path, "--once", "--real", "f32"]);
    assert.equal(code, 1);
    assert.match(stdout, /^FAIL {2}softmax/m);
  });

  test("watch --once checks without timing, times against an older file, and knows every file of a kernel", async () => {
    const path = copy((text) => text);
    const checked = await slm(["kernels", "watch", path, "--once", "--no-bench", "--real", "f32", "--json"]);
    assert.equal(checked.code, 0, checked.stderr);
    const [result] = JSON.parse(checked.stdout).results;
    assert.ok(result.passed && result.worstError < 1e-5 && result.milliseconds === undefined);
    const timed = await slm([
      "kernels",
      "watch",
      path,
      "--once",
      "--against",
      path,
      "--real",
      "f32",
      "--json",
    ]);
    assert.equal(timed.code, 0, timed.stderr);
    const [row] = JSON.parse(timed.stdout).results;
    assert.ok(row.milliseconds > 0 && row.previousMilliseconds > 0);
    const part = await slm(["kernels", "watch", "attention-delta.wgsl", "--once", "--no-bench", "--json"]);
    assert.equal(part.code, 0, part.stderr);
    assert.ok(JSON.parse(part.stdout).results.every((r: { kernel: string }) => r.kernel === "attention"));
  });

  test("compile takes anybody's file and places what is wrong with it", async () => {
    const path = join(folder, "own.wgsl");
    const text =
      "@group(0) @binding(0) var<storage, read_write> x: array<f32>;\n" +
      "@compute @workgroup_size(64)\nfn double(@builtin(global_invocation_id) i: vec3u) {\n  x[i.x] *= 2.0;\n}\n";
    writeFileSync(path, text);
    const good = await slm(["kernels", "compile", path, "--json"]);
    assert.equal(good.code, 0, good.stderr);
    const { diagnostics, entryPoints } = JSON.parse(good.stdout);
    assert.deepEqual([diagnostics, entryPoints], [[], [{ name: "double", line: 3 }]]);
    writeFileSync(path, text.replace("2.0", "y"));
    const bad = await slm(["kernels", "compile", path, "--json"]);
    assert.equal(bad.code, 1);
    const [error] = JSON.parse(bad.stdout).diagnostics;
    assert.deepEqual([error.severity, error.line, error.column], ["error", 4, 13]);
    assert.match(error.message, /unresolved value 'y'/);
    /* what only the pipeline shows is placed at the entry point */
    writeFileSync(path, text.replace("(64)", "(64000)"));
    const large = await slm(["kernels", "compile", path]);
    assert.equal(large.code, 1);
    assert.match(large.stdout, /own\.wgsl:3:1: error: .*64000/);
    assert.match(
      (await slm(["kernels", "compile", "gone.wgsl"])).stderr,
      /^slm: There is no file gone\.wgsl\./m,
    );
  });

  test("watch shows the change after a save, and ends on SIGINT", async () => {
    const path = copy((text) => text);
    let saved = false;
    let stopped = false;
    const { code, signal, stdout } = await slm(["kernels", "watch", path, "--real", "f32"], {
      onOutput(text, kill) {
        if (!saved && text.includes("Ctrl-C ends")) {
          saved = true;
          copy((t) => `${t}\n// changed`);
        }
        if (!stopped && text.includes("against the last version")) {
          stopped = true;
          kill("SIGINT");
        }
      },
    });
    assert.deepEqual([code, signal], [0, null]);
    assert.match(stdout, /[+-]\d+\.\d % against the last version/);
  });

  test("an unknown kernel, variant, file, type and adapter are answered with those that exist", async () => {
    const wrong: [string[], RegExp][] = [
      [["check", "sofmax"], /^slm: There is no kernel "sofmax"\. There are: .*reduce, .*softmax/m],
      [["check", KERNEL, "--variant", "magic"], /^slm: No kernel has the variant "magic"\. There are: /m],
      [["watch", "sofmax.wgsl"], /^slm: There is no file sofmax\.wgsl\./m],
      [
        ["watch", "package.json"],
        /^slm: package\.json is no kernel of the engine\. Kernels are: .*softmax\.wgsl/m,
      ],
      [["check", KERNEL, "--real", "f64"], /f32 or f16/],
      [["check", KERNEL, "--adapter", "none such"], /^slm: No adapter "none such"/m],
    ];
    for (const [parameters, message] of wrong) {
      const { code, stdout, stderr } = await slm(["kernels", ...parameters]);
      assert.equal(code, 1, parameters.join(" "));
      assert.equal(stdout, "");
      assert.match(stderr, message);
    }
  });
});
