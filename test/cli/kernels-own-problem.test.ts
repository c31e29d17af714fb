/** What is said of a file of anybody whose statements, or whose module of answers, do not fit it. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { NoAnswersError, statedReference } from "../../cli/commands/kernels-own-reference.js";
import { type Gpu, openGpu, ShaderError } from "../../engine/gpu/index.js";
import { openOwnKernel, ownProblem } from "../../engine/kernels/own-kernel.js";

const DOUBLE = `@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
// @bench workgroups: 16; buffer x: 1001; buffer y: 1001; flops: 1001; bytes: 8 * 1001
@compute @workgroup_size(64)
fn double(@builtin(global_invocation_id) i: vec3u) {
  if (i.x < arrayLength(&x)) { y[i.x] = 2.0 * x[i.x]; }
}
`;

describe("a file of anybody", () => {
  let gpu: Gpu;
  let folder: string;
  before(async () => {
    gpu = await openGpu();
    folder = mkdtempSync(join(tmpdir(), "slm-own-problem-"));
  });
  after(() => {
    gpu.dispose();
    rmSync(folder, { recursive: true });
  });

  /** Makes the problem of the text with a part of it replaced. */
  async function problemOf(old: string | RegExp, replacement: string, text = DOUBLE) {
    const changed = text.replace(old, replacement);
    assert.notEqual(changed, text);
    const kernel = await openOwnKernel(gpu, join(folder, "said.wgsl"), changed, "double");
    return { kernel, problem: ownProblem(kernel, 7) };
  }

  test("that states what it has not, or states it wrongly, is told so in its place", async () => {
    const wrong: [string | RegExp, string, RegExp][] = [
      ["flops: 1001", "uniform n: 4", /:3:59: error: "double" uses no uniform value "n"\. It uses: none\./],
      [
        "workgroups: 16",
        "workgroups: 70000",
        /:3:11: error: 70000 workgroups are more than this adapter takes /,
      ],
      ["buffer x: 1001", "buffer x: many", /:3:27: error: "many" is not understood/],
      [
        "buffer x: 1001",
        "buffer x: 8589934592",
        /:3:27: error: "x" takes 32\.0 GiB; this adapter binds at most .*B at once\./,
      ],
      ["2.0 *", "two *", /:6:41: error: unresolved value 'two'/],
      [
        "y: array<f32>",
        "y: array<f32, 1001>",
        /:3:43: error: "y" has a length of its own\. Leave out 1001\./,
      ],
      [/buffer y: 1001; |workgroups: 16; /g, "", /\/\/ @bench workgroups: 1024; buffer y: 65536\n/],
    ];
    for (const [old, text, message] of wrong)
      await assert.rejects(
        problemOf(old, text),
        (error) => error instanceof ShaderError && message.test(error.message),
        text,
      );
    const whole = DOUBLE.replaceAll("<f32>", "<u32>");
    await assert.rejects(problemOf("2.0", "2", whole), /\/\/ @bench buffer x: 1001 below 1000\n/);
    await assert.rejects(
      problemOf("2.0", "2", whole.replace("x: 1001", "x: 1001 normal")),
      /buffer x: 1001 below 1000\n/,
    );
    const pairs = DOUBLE.replace("y: array<f32>", "y: array<Pair>").replace("y[i.x] ", "y[i.x].a ");
    await assert.rejects(
      problemOf(/^/, "struct Pair { a: f32, b: u32 }\n", pairs),
      /:3:48: error: "y" holds structures\./,
    );
    const scaled = DOUBLE.replace("2.0", "f32(n)");
    const uniform = "@group(0) @binding(2) var<uniform> n: u32;\n";
    await assert.rejects(problemOf(/^/, uniform, scaled), /\/\/ @bench uniform n: 65536\n/);
    await assert.rejects(
      problemOf(/^/, uniform, scaled.replace("flops: 1001", "uniform n: -1")),
      /:4:59: error: -1 is no u32, which "n" is\./,
    );
  });

  test("is filled as it says, the same for a seed", async () => {
    const text = DOUBLE.replaceAll("<f32>", "<u32>").replace("x: 1001", "x: 3 * 1048576 below 5");
    const { problem } = await problemOf("2.0", "2", text);
    const { data, elements } = problem.buffers.x;
    assert.deepEqual([elements, data?.length, problem.buffers.y.data], [3 * 2 ** 20, 3 * 2 ** 20, undefined]);
    const counts = [0, 0, 0, 0, 0];
    for (const value of data!) counts[value]++;
    assert.equal(counts.length, 5);
    for (const count of counts) assert.ok(Math.abs(count / elements - 0.2) < 0.01, `${counts}`);
    assert.deepEqual((await problemOf("2.0", "2", text)).problem.buffers.x.data, data);
    const zeros = await problemOf("y: 1001", "y: 1001 zeros");
    assert.ok(zeros.problem.buffers.y.data?.every((value) => value === 0));
  });

  test("whose module gives no answers is told why", async () => {
    const wrong: [string, RegExp][] = [
      ["export const y = 1;", /answers0\.mjs: it exports no default function/],
      [
        "export default () => {};",
        /answers1\.mjs: its function gives no answers\. It is to give an object with y\.$/,
      ],
      [
        "export default ({ x }) => ({ x });",
        /answers2\.mjs: "x" is no buffer that double writes\. Those are: y\.$/,
      ],
      [
        "export default ({ x }) => ({ y: x.slice(1) });",
        /answers3\.mjs: y is to have 1001 values, as the buffer; it has 1000\.$/,
      ],
      ["export default ({ x }) => ({", /answers4\.mjs: /],
    ];
    for (const [i, [text, message]] of wrong.entries()) {
      writeFileSync(join(folder, `answers${i}.mjs`), text);
      const { kernel, problem } = await problemOf("flops:", `reference: answers${i}.mjs; flops:`);
      await assert.rejects(
        statedReference(gpu, kernel, problem),
        (error) => error instanceof NoAnswersError && message.test(error.message),
        text,
      );
    }
    writeFileSync(join(folder, "answers.py"), "");
    const odd = await problemOf("flops:", "reference: answers.py; flops:");
    await assert.rejects(
      statedReference(gpu, odd.kernel, odd.problem),
      /reference: answers\.py in .*said\.wgsl is neither a \.wgsl file nor a module/,
    );
  });
});
