/** `slm kernels` as a process on files of anybody: what a check finds, what a bench gives, and what is said of mistakes. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { packageRoot } from "../../cli/version.js";
import { slm } from "./slm.js";

const DECLARED = `@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
`;
const SAID = "// @bench workgroups: 16; buffer x: 1001; buffer y: 1001; flops: 1001; bytes: 8 * 1001\n";
const DOUBLE = `${DECLARED}${SAID}@compute @workgroup_size(64)
fn double(@builtin(global_invocation_id) i: vec3u) {
  if (i.x < arrayLength(&x)) { y[i.x] = 2.0 * x[i.x]; }
}
`;

/** The examples of docs/kernels.md, in the order that they stand there. */
function documented(language: string): string {
  const text = readFileSync(join(packageRoot(), "docs", "kernels.md"), "utf8");
  const [, example] = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, "m").exec(text) ?? [];
  assert.ok(example, language);
  return example;
}

describe("a WGSL file of anybody", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "slm-own-kernels-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  function write(name: string, text: string): string {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  }

  const kernels = (...parameters: string[]) => slm(["kernels", ...parameters]);

  async function checkOf(...parameters: string[]) {
    const { code, stdout, stderr } = await kernels("check", ...parameters, "--json");
    assert.equal(stderr.replace(/^Warning: .*\n/gm, ""), "");
    const { results, ...rest } = JSON.parse(stdout);
    return { code, result: results[0], results, ...rest };
  }

  test("as the document shows it is right by its module, and timed with both rates", async () => {
    const path = write("affine.wgsl", documented("wgsl"));
    write("affine.mjs", documented("js"));
    const people = await kernels("check", path, "--seed", "7");
    assert.equal(people.code, 0, people.stdout + people.stderr);
    assert.match(
      people.stdout,
      /^ok {4}affine\.wgsl \/ affine: y written whole, no NaN, the same bits twice; worst error \d\.\de-\d+ \(y, against affine\.mjs\)\nseed 7 on /m,
    );
    const { code, stdout, stderr } = await kernels("bench", path, "--json");
    assert.equal(code, 0, stderr);
    const { ceilings, rows } = JSON.parse(stdout);
    assert.equal(rows.length, 1);
    const [row] = rows;
    assert.deepEqual([row.kernel, row.entryPoint], ["affine.wgsl", "affine"]);
    const seconds = row.milliseconds / 1000;
    assert.ok(row.least <= row.milliseconds && row.milliseconds <= row.most);
    assert.ok(Math.abs(row.gflops / ((2 * 1048576e-9) / seconds) - 1) < 1e-6);
    assert.ok(Math.abs(row.gigabytes / ((8 * 1048576e-9) / seconds) - 1) < 1e-6);
    assert.ok(Math.abs(row.ceiling / ((8 * 1048576) / ceilings.bytes / seconds) - 1) < 1e-6);
    assert.equal(row.bound, "memory");
  });

  test("that is wrong fails, with what is wrong in words", async () => {
    const path = write("wrong.wgsl", "");
    const faultsOf = async (text: string, ...more: string[]) => {
      writeFileSync(path, text);
      const { code, result } = await checkOf(path, "--seed", "7", ...more);
      assert.equal(code, result.passed ? 0 : 1);
      return result.faults;
    };
    assert.deepEqual(await faultsOf(DOUBLE), []);
    assert.deepEqual(await faultsOf(DOUBLE.replace("arrayLength(&x)", "1000")), [
      "1 of the 1001 values of y are left unwritten; the first is in y[1000]",
    ]);
    const [nan, ...others] = await faultsOf(DOUBLE.replace("2.0 *", "log(-1.0 - abs(x[i.x])) *"));
    assert.match(nan, /^1001 of the 1001 values of y are NaN; the first is in y\[0\]$/);
    assert.deepEqual(others, []);
    /* what it adds to held nothing of use, and does where it is said */
    const sum = DOUBLE.replace("= 2.0 *", "= y[i.x] +");
    assert.notDeepEqual(await faultsOf(sum), []);
    assert.deepEqual(await faultsOf(sum.replace("buffer y: 1001", "buffer y: 1001 zeros")), []);
    const people = await kernels("check", write("holes.wgsl", DOUBLE.replace("arrayLength(&x)", "9")));
    assert.equal(people.code, 1);
    assert.match(
      people.stdout,
      /^FAIL {2}holes\.wgsl \/ double\n {6}992 of the 1001 values of y are left unwritten; the first is in y\[9\]$/m,
    );
  });

  test("whose answers depend on the order of its invocations is told to differ between runs", async () => {
    const text = `@group(0) @binding(0) var<storage, read_write> next: atomic<u32>;
@group(0) @binding(1) var<storage, read_write> order: array<u32>;
// @bench workgroups: 65535; buffer next: zeros; buffer order: 65535 * 32
@compute @workgroup_size(32)
fn enqueue(@builtin(global_invocation_id) i: vec3u) { order[i.x] = atomicAdd(&next, 1u); }
`;
    const path = write("racy.wgsl", text);
    /* a scheduler may happen to do the same twice */
    for (let round = 0; round < 10; round++) {
      const { code, result } = await checkOf(path);
      if (code === 0) continue;
      assert.match(
        result.faults.join(),
        /^\d+ of the 2097120 values of order differ between two runs on the same input; /,
      );
      return;
    }
    assert.fail("two million invocations were counted in the same order twenty times");
  });

  test("is compared with another file, dispatched as that says itself, and by whole numbers exactly", async () => {
    const path = write("double.wgsl", DOUBLE);
    const same = await checkOf(path, "--against", path);
    assert.deepEqual([same.code, same.result.worstError, same.result.reference], [0, 0, "double.wgsl"]);
    const serial = `${DECLARED}// @bench workgroups: 1
@compute @workgroup_size(1) fn one_by_one() { for (var i = 0u; i < arrayLength(&x); i++) { y[i] = x[i] + x[i]; } }
`;
    const slow = await checkOf(path, "--against", write("slow.wgsl", serial));
    assert.deepEqual([slow.code, slow.result.worstError], [0, 0]);
    const off = await checkOf(path, "--against", write("off.wgsl", DOUBLE.replace("2.0", "2.001")));
    assert.equal(off.code, 1);
    assert.match(off.result.faults.join(), /^y is off from off\.wgsl by 5\.0e-4$/);
    const named = write("named.wgsl", DOUBLE.replace("flops:", "reference: slow.wgsl; flops:"));
    const byName = await checkOf(named);
    assert.deepEqual([byName.code, byName.result.reference], [0, "slow.wgsl"]);
    const shorter = await kernels(
      "check",
      path,
      "--against",
      write("shorter.wgsl", DOUBLE.replace("y: 1001", "y: 1000")),
    );
    assert.equal(shorter.code, 1);
    assert.match(
      shorter.stderr,
      /shorter\.wgsl:3:43: error: y has 1001 elements in .*double\.wgsl, which this is compared with/,
    );
    const lacking = await kernels(
      "check",
      path,
      "--against",
      write("holes.wgsl", DOUBLE.replace("arrayLength(&x)", "9")),
    );
    assert.match(
      lacking.stderr,
      /holes\.wgsl gives no answers to compare with: 992 of the 1001 values of y are left unwritten/,
    );
    const whole = DOUBLE.replaceAll("<f32>", "<u32>")
      .replace("2.0 *", "2u *")
      .replace("x: 1001", "x: 1001 below 2 * 1e9");
    const exact = await checkOf(
      write("whole.wgsl", whole),
      "--against",
      write("less.wgsl", whole.replace("2u *", "2u * (i.x & 1u) *")),
    );
    assert.equal(exact.code, 1);
  });

  test("has vectors of three, a lone uniform and entry points that say nothing", async () => {
    const text = `@group(0) @binding(0) var<uniform> n: u32;
@group(0) @binding(1) var<storage, read> place: array<i32>;
@group(0) @binding(2) var<storage, read> points: array<vec3f, 8>;
@group(0) @binding(3) var<storage, read_write> moved: array<vec3f>;
// @bench workgroups: 1; buffer place: 33 below 8; buffer moved: 33; uniform n: 33
@compute @workgroup_size(64) fn move_all(@builtin(local_invocation_index) i: u32) {
  if (i < n) { moved[i] = points[place[i]] + 1.0; }
}
@compute @workgroup_size(1) fn unsaid() { moved[0] = vec3f(); }
`;
    const path = write("points.wgsl", text);
    const { code, result, compiledOnly } = await checkOf(path);
    assert.deepEqual([code, result.entryPoint, result.faults, compiledOnly], [0, "move_all", [], ["unsaid"]]);
    const short = await checkOf(write("short.wgsl", text.replace("i < n", "i + 1 < n")));
    assert.deepEqual(short.result.faults, [
      "3 of the 99 values of moved are left unwritten; the first is in moved[32]",
    ]);
    const people = await kernels("check", path);
    assert.match(
      people.stdout,
      /^skip {2}points\.wgsl \/ unsaid: it has no \/\/ @bench above it; it compiles$/m,
    );
  });

  test("is timed against itself, a slower version, and what git has", async () => {
    const repository = join(folder, "repository", "kernels");
    mkdirSync(repository, { recursive: true });
    const path = join(repository, "double.wgsl");
    const git = (...parameters: string[]) =>
      execFileSync("git", ["-c", "user.name=A", "-c", "user.email=a@b", ...parameters], { cwd: repository });
    const slower = DOUBLE.replace(
      "y[i.x] = ",
      "var s = 0.0; for (var k = 0u; k < 100000u; k++) { s = sin(s + x[k % 1001u]); } y[i.x] = 1e-30 * s + ",
    );
    writeFileSync(path, slower);
    git("init", "-q");
    git("add", ".");
    git("commit", "-qm", "first");
    writeFileSync(path, DOUBLE);
    const bench = async (...parameters: string[]) => {
      const { code, stdout, stderr } = await kernels("bench", ...parameters, "--json");
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout).rows[0];
    };
    const same = await bench(path, "--against", path);
    assert.deepEqual([same.sameText, same.against], [true, undefined]);
    const old = await bench(path, "--against", "HEAD");
    assert.ok(old.against > old.milliseconds, `${old.against} to ${old.milliseconds}`);
    const people = await kernels("bench", path, "--against", "HEAD");
    assert.match(people.stdout, /GFLOP\/s +GB\/s +of ceiling +bound +than HEAD$/m);
    assert.match(people.stdout, /^double\.wgsl \/ double +workgroups 16, x 1001, y 1001 .*% faster \(/m);
    const unknown = await kernels("check", path, "--against", "no-such-revision");
    assert.equal(unknown.code, 1);
    assert.match(
      unknown.stderr,
      /^slm: --against no-such-revision: neither a file nor a git revision that holds .*double\.wgsl \(/m,
    );
    const checked = await checkOf(path, "--against", "HEAD");
    assert.deepEqual([checked.code, checked.result.reference], [0, "HEAD:double.wgsl"]);
  });

  test("is watched: checked, timed against the last version, and told what is wrong with it in its place", async () => {
    const path = write("watched.wgsl", DOUBLE);
    let saved = false;
    let stopped = false;
    const { code, stdout } = await slm(["kernels", "watch", path], {
      onOutput(printed, kill) {
        if (!saved && printed.includes("Ctrl-C ends")) {
          saved = true;
          writeFileSync(path, DOUBLE.replace("2.0 * x[i.x]", "x[i.x] + x[i.x]"));
        }
        if (!stopped && printed.includes("against the last version")) {
          stopped = true;
          kill("SIGINT");
        }
      },
    });
    assert.equal(code, 0, stdout);
    assert.match(
      stdout,
      /^ok {4}watched\.wgsl \/ double: .*\n {6}\d+\.\d+ ms \(.*\), \d+\.\d GFLOP\/s, \d+\.\d GB\/s, \d+ % of (copy|f32) ceiling; against the last version: /m,
    );
    writeFileSync(path, DOUBLE.replace("buffer x: 1001; ", ""));
    const scripts = await kernels("watch", path, "--once", "--json");
    assert.equal(scripts.code, 1);
    const report = JSON.parse(scripts.stdout);
    assert.equal(report.diagnostics[0].line, 5);
    assert.match(report.diagnostics[0].message, /\/\/ @bench buffer x: 65536$/);
    writeFileSync(path, DOUBLE);
    const checked = await kernels("watch", path, "--once", "--no-bench", "--json");
    const [result] = JSON.parse(checked.stdout).results;
    assert.deepEqual([result.passed, result.entryPoint, result.milliseconds], [true, "double", undefined]);
    const nothing = await slm(["kernels", "watch", path, "--once", "--json"], {
      env: { SLM_BACKEND: "null" },
    });
    assert.equal(nothing.code, 0, nothing.stderr);
    assert.deepEqual(JSON.parse(nothing.stdout).compiledOnly, [
      { kernel: "watched.wgsl", entryPoint: "double" },
    ]);
  });

  test("that says too little or too much is answered as by a compiler", async () => {
    const path = write("said.wgsl", "");
    const stderrOf = async (text: string) => {
      writeFileSync(path, text);
      const { code, stdout, stderr } = await kernels("bench", path);
      assert.deepEqual([code, stdout], [1, ""]);
      return stderr;
    };
    assert.match(
      await stderrOf(DOUBLE.replace(SAID, "")),
      /^slm: .*said\.wgsl:4:1: error: "double" does not say what it is run on\. Write above it, with your numbers: \/\/ @bench workgroups: 1024; buffer x: 65536; buffer y: 65536\n 4 \| fn double\(.*\n {3}\| \^$/m,
    );
    assert.match(
      await stderrOf(DOUBLE.replace("buffer y:", "buffer z:")),
      /said\.wgsl:3:43: error: "double" uses no buffer "z"\. It uses: x, y\.\n 3 \| .*\n {3}\| {43}\^\n.*said\.wgsl:5:1: error: .* \/\/ @bench buffer y: 65536$/m,
    );
    assert.match(
      await stderrOf("const N = 4;\n"),
      /^slm: .*said\.wgsl has no compute entry point, so there is nothing to run\.$/m,
    );
  });

  test("whose module gives no answers is told why, and watched on", async () => {
    const path = write("referenced.wgsl", DOUBLE.replace("flops:", "reference: answers.mjs; flops:"));
    const wrong: [string | undefined, RegExp][] = [
      [undefined, /^There is no file .*answers\.mjs, which .*referenced\.wgsl names as its reference\.$/m],
      ["export default () => { throw new Error('out of ideas'); };", /answers\.mjs: out of ideas$/m],
    ];
    for (const [text, message] of wrong) {
      if (text !== undefined) write("answers.mjs", text);
      const { code, stdout } = await kernels("watch", path, "--once", "--no-bench");
      assert.equal(code, 1);
      assert.match(stdout, message);
    }
    write("answers.mjs", "export default ({ x }) => ({ y: x.map((value) => value * 2.001) });");
    const { code, result } = await checkOf(path);
    assert.equal(code, 1);
    assert.match(result.faults.join(), /^y is off from answers\.mjs by 5\.0e-4$/);
  });

  test("whose module is saved while it is watched is compared with the new answers", async () => {
    const path = write("waiting.wgsl", DOUBLE.replace("flops:", "reference: truth.mjs; flops:"));
    const truth = (factor: number) =>
      write("truth.mjs", `export default ({ x }) => ({ y: x.map((value) => value * ${factor}) });`);
    truth(2.001);
    let stopped = false;
    const { code, stdout } = await slm(["kernels", "watch", path, "--no-bench"], {
      onOutput(printed, kill) {
        if (printed.includes("Ctrl-C ends")) truth(2);
        if (!stopped && /^ok /m.test(printed)) {
          stopped = true;
          kill("SIGINT");
        }
      },
    });
    assert.equal(code, 0, stdout);
    assert.match(
      stdout,
      /^FAIL[\s\S]*off from truth\.mjs by 5\.0e-4\nwatching [\s\S]*^ok {4}.*against truth\.mjs/m,
    );
  });

  test("and a kernel of the engine have options of their own", async () => {
    const path = write("double.wgsl", DOUBLE);
    const wrong: [string[], RegExp][] = [
      [
        ["check", path, "--real", "f32"],
        /^slm: --real is for the engine's kernels; .*double\.wgsl says itself/m,
      ],
      [["bench", path, "--size", "64"], /^slm: --size is for the engine's kernels/m],
      [["watch", path, "--once", "--variant", "rows"], /^slm: --variant is for the engine's kernels/m],
      [["check", "softmax", "--against", "HEAD"], /^slm: --against is for a \.wgsl file of your own/m],
      [
        ["check", "gone.wgsl"],
        /^slm: There is no file gone\.wgsl, nor one of this name in .*shaders\. slm kernels list shows/m,
      ],
      [["check", "rms-norm.wgsl"], /^slm: rms-norm\.wgsl is a file of the kernel rms-norm: /m],
      [
        ["bench", "shaders/softmax.wgsl"],
        /^slm: softmax\.wgsl is a file of the kernel softmax: `slm kernels bench softmax` takes .*`slm kernels watch shaders\/softmax\.wgsl --once` a changed one\./m,
      ],
    ];
    for (const [parameters, message] of wrong) {
      const { code, stdout, stderr } = await kernels(...parameters);
      assert.deepEqual([code, stdout], [1, ""], parameters.join(" "));
      assert.match(stderr, message);
    }
  });
});
