/** `slm kernels` as a process: each subcommand's JSON, its errors, and what it does with a kernel that is wrong. */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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

  function bench(...given: (string | Record<string, string>)[]) {
    const parameters = given.filter((one) => typeof one === "string");
    const env = given.find((one) => typeof one === "object");
    return slm(["kernels", "bench", ...parameters], { env });
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
    const old = copy((text) => `${text}\n// older`);
    const { code, stdout, stderr } = await bench(KERNEL, "--real", "f32", "--against", old, "--json");
    assert.equal(code, 0, stderr);
    const { ceilings, rows, skipped } = JSON.parse(stdout);
    assert.ok(ceilings.flops > 1e6 && ceilings.bytes > 1e6);
    assert.deepEqual(skipped, []);
    assert.ok(rows.length > 0);
    for (const row of rows) {
      for (const key of ["milliseconds", "gigabytes", "ceiling", "against"])
        assert.ok(row[key] > 0, `${key} of ${row.variant}`);
      assert.ok(row.least <= row.milliseconds && row.milliseconds <= row.most);
      assert.ok(row.againstLeast <= row.against && row.against <= row.againstMost);
      assert.equal(row.sameText, false);
      assert.ok(["arithmetic", "memory"].includes(row.bound));
    }
  });

  test("bench --against takes the other file's text, and says when it is the same", async () => {
    const broken = copy((text) => text.replace("@compute", "let wrong = ;\n@compute"));
    const line = readFileSync(broken, "utf8").split("\n").indexOf("let wrong = ;") + 1;
    const failed = await bench(KERNEL, "--real", "f32", "--against", broken);
    assert.equal(failed.code, 1);
    assert.ok(failed.stderr.includes(`slm: ${broken}:${line}:1: error: `), failed.stderr);
    const foreign = join(shadersFolder(), "rope.wgsl");
    const entry = await bench(KERNEL, "--real", "f32", "--against", foreign);
    assert.equal(entry.code, 1);
    assert.match(entry.stderr, /rope\.wgsl has no compute entry point "forward"/);
    const same = copy((text) => text);
    const { code, stdout, stderr } = await bench(KERNEL, "--real", "f32", "--against", same);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /softmax \/ rows \/ f32 .* same text$/m);
  });

  test("bench times a product of the size asked for, with the tile that was measured to be fastest", async () => {
    const cache = join(folder, "cache");
    const sized = await bench("matmul", "--real", "f32", "--size", "512", "--json", { SLM_CACHE: cache });
    assert.equal(sized.code, 0, sized.stderr);
    const { rows } = JSON.parse(sized.stdout);
    const kept = readdirSync(cache).find((name) => name.startsWith("tiles-"))!;
    const { choices } = JSON.parse(readFileSync(join(cache, kept), "utf8"));
    assert.ok(rows.every((row: { problem: string }) => row.problem === "NN 512 × 512 × 512"));
    const measured = Object.values(choices);
    assert.equal(measured.length, 1);
    assert.ok(rows.some((row: { tile: string }) => row.tile === measured[0]));
    const people = await bench("matmul", "--real", "f32", "--size", "512", { SLM_CACHE: cache });
    assert.ok(people.stdout.includes(`NN 512 × 512 × 512, tile ${measured[0]} `), people.stdout);
  });

  test("what an adapter cannot run is named, and nothing to run is a failure", async () => {
    const nothing = { SLM_BACKEND: "null" };
    for (const command of ["check", "bench"]) {
      const scripts = await slm(["kernels", command, KERNEL, "--json"], { env: nothing });
      assert.equal(scripts.code, 1, command);
      assert.deepEqual(JSON.parse(scripts.stdout).skipped, ["softmax / rows / f32", "softmax / rows / f16"]);
      const people = await slm(["kernels", command, KERNEL, "--variant", "rows"], { env: nothing });
      assert.equal(people.code, 1, command);
      assert.match(people.stdout, /^skip {2}softmax \/ rows \/ f32: null-backend cannot run it$/m);
      assert.match(people.stderr, /^slm: null-backend can run nothing of .*: softmax \/ rows \/ f32, /m);
    }
  });

  test("list works without an adapter, unless one was named", async (t) => {
    if (process.platform !== "linux") return t.skip("only Vulkan's loader can be told of no drivers");
    const env = { VK_DRIVER_FILES: "/nonexistent", VK_ICD_FILENAMES: "/nonexistent" };
    const { code, stdout, stderr } = await slm(["kernels", "list", "--json"], { env });
    assert.equal(code, 0, stderr);
    const rows = JSON.parse(stdout);
    assert.equal(rows.length, KERNELS.length);
    for (const { variants } of rows) for (const { runs } of variants) assert.equal(runs, false);
    const people = await slm(["kernels", "list"], { env });
    assert.match(people.stdout, /^ {2}× rows \(f32, f16\)/m);
    assert.match(people.stdout, /there is no graphics adapter/);
    assert.doesNotMatch(people.stdout, /•/);
    assert.equal((await slm(["kernels", "list", "--adapter", "none such"], { env })).code, 1);
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

  test("watch compiles what the adapter cannot run, and says that it does no more", async () => {
    const tensor = join(folder, "matmul-tensor.wgsl");
    const text = readFileSync(join(shadersFolder(), "matmul-tensor.wgsl"), "utf8");
    writeFileSync(tensor, text.replace("@compute", "let wrong = ;\n@compute"));
    const broken = await slm(["kernels", "watch", tensor, "--once", "--no-bench"]);
    assert.equal(broken.code, 1);
    assert.match(broken.stdout, /matmul-tensor\.wgsl:\d+:1: error: /);
    const env = { SLM_BACKEND: "null" };
    const people = await slm(["kernels", "watch", FILE, "--once"], { env });
    assert.equal(people.code, 0, people.stderr);
    assert.match(
      people.stdout,
      /^ok {4}softmax \/ rows \/ f32: compiled only; null-backend cannot run it\nok {4}softmax \/ rows \/ f16/m,
    );
    const scripts = await slm(["kernels", "watch", FILE, "--once", "--json", "--real", "f16"], { env });
    const { results, compiledOnly } = JSON.parse(scripts.stdout);
    assert.deepEqual([results, compiledOnly], [[], [{ kernel: KERNEL, variant: "rows", real: "f16" }]]);
    const wrong = await slm(
      ["kernels", "watch", copy((t) => t.replace("<uniform> params", "<uniform> param")), "--once"],
      {
        env,
      },
    );
    assert.equal(wrong.code, 1);
    assert.match(wrong.stdout, /softmax\.wgsl:\d+:\d+: error: /);
  });

  test("watch places what only the pipeline or the host side refuses, in the file that is watched", async () => {
    const faultOf = async (path: string) => {
      const { code, stdout } = await slm(["kernels", "watch", path, "--once", "--json", "--real", "f32"]);
      assert.equal(code, 1);
      const [{ file, line, message }] = JSON.parse(stdout).diagnostics;
      assert.equal(file, path);
      return { text: readFileSync(path, "utf8").split("\n")[line - 1], message };
    };
    const large = await faultOf(copy((text) => text.replace("(WORKGROUP)", "(64000)")));
    assert.match(large.text, /^fn forward/);
    assert.match(large.message, /64000/);
    const renamed = await faultOf(
      copy((text) => text.replace("read> x:", "read> xx:").replaceAll(/\bx\[/g, "xx[")),
    );
    assert.match(renamed.text, /var<storage, read> xx:/);
    assert.match(renamed.message, /kernel softmax:forward needs a buffer named "xx"; it was given x, y\./);
  });

  test("watch --once fails where the answers are wrong", async () => {
    const path = copy((text) => text.replaceAll("exp(", "sqrt("));
    const { code, stdout } = await slm(["kernels", "watch", path, "--once", "--real", "f32"]);
    assert.equal(code, 1);
    assert.match(stdout, /^FAIL {2}softmax/m);
  });

  test("watch says which entry point was timed, or gives the answer that is furthest off", async () => {
    const path = copy((text) => text.replace("- dot_product", "+ dot_product"));
    const more = ["--once", "--json", "--real", "f32"];
    const wrong = await slm(["kernels", "watch", path, ...more]);
    assert.equal(wrong.code, 1);
    assert.equal(JSON.parse(wrong.stdout).results[0].entryPoint, "backward");
    copy((text) => text.replace("maximum) * factor", "maximum) * 2.0 * factor"));
    const checked = await slm(["kernels", "watch", path, ...more, "--no-bench"]);
    assert.equal(JSON.parse(checked.stdout).results[0].entryPoint, "forward");
  });

  test("watch --once checks without timing, times against an older file, and knows every file of a kernel", async () => {
    const path = copy((text) => text);
    const checked = await slm(["kernels", "watch", path, "--once", "--no-bench", "--real", "f32", "--json"]);
    assert.equal(checked.code, 0, checked.stderr);
    const [result] = JSON.parse(checked.stdout).results;
    assert.ok(result.passed && result.worstError < 1e-5 && result.milliseconds === undefined);
    const against = async (old: string) =>
      slm(["kernels", "watch", path, "--once", "--against", old, "--real", "f32", "--json"]);
    const old = join(folder, "older.wgsl");
    writeFileSync(old, `${readFileSync(path, "utf8")}\n// older`);
    const timed = await against(old);
    assert.equal(timed.code, 0, timed.stderr);
    const [row] = JSON.parse(timed.stdout).results;
    assert.ok(row.milliseconds > 0 && row.previousMilliseconds > 0 && row.sameText === false);
    const [same] = JSON.parse((await against(path)).stdout).results;
    assert.ok(same.sameText && same.previousMilliseconds === undefined);
    writeFileSync(old, readFileSync(path, "utf8").replace("@compute", "let wrong = ;\n@compute"));
    const broken = await against(old);
    assert.equal(broken.code, 1);
    assert.equal(JSON.parse(broken.stdout).diagnostics[0].file, old);
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
      /^slm: There is no file gone\.wgsl, nor one of this name in /m,
    );
    const { stdout: byName } = await slm(["kernels", "compile", "softmax.wgsl"]);
    assert.match(byName, /^ok {2}.*shaders.softmax\.wgsl: /m);
  });

  test("compile takes other constants and types for a file's own", async () => {
    const path = join(folder, "own.wgsl");
    const text =
      "alias Real = f32;\nconst N: u32 = 4u;\nconst M: u32 = N;\n" +
      "@group(0) @binding(0) var<storage, read_write> x: array<Real>;\n" +
      "@compute @workgroup_size(N) fn fill() { x[0] = Real(M); }\n";
    writeFileSync(path, text);
    const compile = (...more: string[]) => slm(["kernels", "compile", path, ...more]);
    const good = await slm(["kernels", "compile", path, "--define", "N=8", "--define", "Real=f16"], {
      env: { SLM_BACKEND: "null" },
    });
    assert.equal(good.code, 0, good.stdout);
    assert.match((await compile("--define", "N=64000")).stdout, /own\.wgsl:5:1: error: .*64000/);
    assert.match((await compile("--define", "K=1")).stderr, /has no top-level `const K`\. It has: N/);
    assert.match((await compile("--define", "K")).stderr, /NAME=value, as in TILE_K=16 or Real=f16\./);
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
    assert.match(stdout, /against the last version: \d+\.\d % (faster|slower) \(/);
  });

  test("an unknown kernel, variant, file, type and adapter are answered with those that exist", async () => {
    const wrong: [string[], RegExp][] = [
      [["check", "sofmax"], /^slm: There is no kernel "sofmax"\. There are: .*reduce, .*softmax/m],
      [["check", KERNEL, "--variant", "magic"], /^slm: No kernel has the variant "magic"\. There are: /m],
      [["watch", "sofmax.wgsl"], /^slm: There is no file sofmax\.wgsl, nor one of this name in /m],
      [
        ["watch", "package.json"],
        /^slm: package\.json is no kernel of the engine\. Kernels are: .*softmax\.wgsl/m,
      ],
      [["watch", FILE, "--once", "--variant", "magic"], /^slm: No kernel has the variant "magic"\./m],
      [["check", KERNEL, "--real", "f64"], /f32 or f16/],
      [["check", "kmeans-seed", "--real", "f16"], /^slm: kmeans-seed has no f16; it has f32\./m],
      [
        ["watch", "kmeans-seed.wgsl", "--once", "--real", "f16"],
        /^slm: kmeans-seed has no f16; it has f32\./m,
      ],
      [
        ["check", "cross-entropy", "--variant", "cpu", "--real", "f16"],
        /^slm: cross-entropy \/ cpu has no f16; it has f32\./m,
      ],
      [
        ["bench", KERNEL, "--against", shadersFolder()],
        /^slm: --against .*shaders is a folder\. Give one \.wgsl/m,
      ],
      [
        ["bench", KERNEL, "--size", "64"],
        /^slm: softmax has no sizes to choose from\. --size is for: matmul\./m,
      ],
      [["bench", "--size", "64"], /^slm: --size needs the kernel that it is for, one of: matmul\./m],
      [["bench", "matmul", "--size", "6.5"], /A size is a whole number/],
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
