/** What a WGSL file says of its own problem: which entry point it is about, and what is wrong with it and where. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ShaderError } from "../../../engine/gpu/index.js";
import { benchStatements, isAnnotated } from "../../../engine/kernels/bench-annotations.js";

const fn = (name: string) => `@compute @workgroup_size(64)\nfn ${name}() {}\n`;

/** The statement of the only entry point. */
function statementOf(...lines: string[]) {
  const statement = benchStatements(
    "own.wgsl",
    `${lines.map((l) => `// @bench ${l}\n`).join("")}${fn("main")}`,
  );
  assert.deepEqual([...statement.keys()], ["main"]);
  return statement.get("main")!;
}

test("every clause is read, on one line or several, products too", () => {
  const found = statementOf(
    "workgroups: 64 2 * 4; flops: 2 * 512 * 512; bytes: 1.5e6; reference: ./answers v2.mjs",
    "buffer x: 1024; buffer index: 2 * 512 below 1e3; buffer counts: zeros; buffer y: 7 normal",
    "  uniform factor : -0.5 ;uniform n: 1024;",
  );
  assert.deepEqual(found.workgroups?.value, [64, 8, 1]);
  assert.deepEqual([found.flops?.value, found.bytes?.value], [524288, 1.5e6]);
  assert.equal(found.reference?.value, "./answers v2.mjs");
  assert.deepEqual(
    [...found.buffers].map(([name, { value }]) => [name, value.elements, value.fill]),
    [
      ["x", 1024, undefined],
      ["index", 1024, { below: 1000 }],
      ["counts", undefined, "zeros"],
      ["y", 7, "normal"],
    ],
  );
  assert.deepEqual(
    [...found.uniforms].map(([name, { value }]) => [name, value]),
    [
      ["factor", -0.5],
      ["n", 1024],
    ],
  );
  assert.deepEqual(found.uniforms.get("factor")?.place, { line: 3, column: 13 });
});

test("a line is about the entry point below it, and block comments and code are no annotations", () => {
  const text =
    `/* // @bench workgroups: 1\n /* nested */ // @bench workgroups: 2\n*/\n${fn("unsaid")}` +
    `// @bench workgroups: 3\n${fn("first")}@compute\n// @bench workgroups: 4\n@workgroup_size(1) fn second() {}\n` +
    "// not @bench workgroups: 5\n// @benchmark workgroups: 6\n";
  const found = benchStatements("own.wgsl", text);
  assert.deepEqual(
    [...found].map(([name, { workgroups }]) => [name, workgroups?.value[0]]),
    [
      ["first", 3],
      ["second", 4],
    ],
  );
  assert.ok(isAnnotated(text));
  assert.ok(!isAnnotated(`/* // @bench workgroups: 1 */\n${fn("main")}`));
});

test("every clause that cannot be read is placed, with what may stand there", () => {
  const wrong: [string, RegExp][] = [
    [
      "workgroups 4",
      /^"workgroups 4" is no clause of @bench, which are KEY: VALUE with the keys workgroups, /,
    ],
    ["worgroups: 4", /^@bench has no key "worgroups"\. Its keys are workgroups, buffer NAME, /],
    ["constructor: 4", /^@bench has no key "constructor"\./],
    ["buffer: 4", /^@bench has no key "buffer"\./],
    ["flops x: 4", /^@bench has no key "flops x"\./],
    ["workgroups: 1 2 3 4", /^workgroups are one to three numbers/],
    ["workgroups: 0", /^0 is no whole number from 1 on/],
    ["workgroups: 2.5", /^2\.5 is no whole number/],
    ["workgroups: n / 64", /^"n" is neither a number nor a product of numbers/],
    [
      "buffer x: ones",
      /^"ones" is not understood\. It is written buffer NAME: ELEMENTS, and perhaps normal, /,
    ],
    ["buffer x: 4 ones", /^"4 ones" is not understood\./],
    ["buffer x: 4 below 0", /^below 0 leaves no numbers/],
    ["flops: 0", /^0 is no amount of work/],
    ["flops: 1; flops: 2", /^flops is said twice/],
    ["buffer x: 1; buffer x: 1", /^buffer x is said twice/],
  ];
  for (const [line, message] of wrong)
    assert.throws(
      () => statementOf(line),
      (error) => error instanceof ShaderError && message.test(error.diagnostics[0].message),
      line,
    );
  assert.throws(
    () => benchStatements("own.wgsl", `// @bench flops: x; bytes: y\n${fn("main")}  // @bench bytes: 1`),
    (error: Error) => {
      assert.ok(error instanceof ShaderError);
      assert.deepEqual(
        error.diagnostics.map(({ line, column }) => [line, column]),
        [
          [1, 11],
          [1, 21],
          [4, 13],
        ],
      );
      assert.match(
        error.message,
        /^own\.wgsl:1:11: error: "x" is neither .*\n 1 \| \/\/ @bench flops: x; bytes: y\n {3}\| {11}\^\n/,
      );
      assert.match(error.diagnostics[2].message, /^no entry point follows; @bench stands above/);
      return true;
    },
  );
});
