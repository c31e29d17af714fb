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
