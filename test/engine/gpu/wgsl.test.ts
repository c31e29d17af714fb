/** WGSL as text: overrides, entry points, bindings in use, layouts. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ShaderError } from "../../../engine/gpu/index.js";
import { applyTunables, reflect } from "../../../engine/gpu/wgsl.js";
import { blankComments, entryPoints } from "../../../engine/gpu/wgsl-text.js";

const lines = (text: string) => text.split("\n").length;

describe("overrides", () => {
  const source = [
    "// const TILE: u32 = 1u; in a comment",
    "const TILE: u32 = 16u;",
    "const SCALE: f32 = 0.5;",
    "const ON = true;",
    "const N = 3;",
    "const WIDE: u32 =",
    "  4u +",
    "  4u;",
    "alias Real = f32;",
    "alias Element = vec4<Real>;",
    "fn f() -> Real { const TILE_LOCAL = 3; return Real(TILE); }",
  ].join("\n");

  test("replace the value and keep the declared type, in the type's own notation", () => {
    const { text } = applyTunables("k.wgsl", source, {
      constants: { TILE: 32, SCALE: 2, ON: false, N: -7, WIDE: 12 },
      types: { Element: "vec2<f32>" },
    });
    for (const part of [
      "const TILE: u32 = 32u;",
      "const SCALE: f32 = 2.0;",
      "const ON = false;",
      "const N = -7;",
      "alias Element = vec2<f32>;",
    ]) {
      assert.ok(text.includes(part), `${part} in\n${text}`);
    }
    assert.match(text, /const WIDE: u32 = 12u\s*;/);
  });

  test("keep every line where it was, comments too", () => {
    const { text } = applyTunables("k.wgsl", source, {
      constants: { WIDE: 12, TILE: 1 },
      types: { Real: "f32" },
    });
    assert.equal(lines(text), lines(source));
    assert.equal(
      text.split("\n").findIndex((l) => l.startsWith("alias Element")),
      9,
    );
    assert.equal(text.split("\n")[0], source.split("\n")[0]);
  });

  test("switch f16 on exactly where it is used, on the first line", () => {
    const { text: half } = applyTunables("k.wgsl", source, { types: { Real: "f16" } });
    assert.match(half, /^enable f16; \/\/ const TILE/);
    assert.equal(lines(half), lines(source));
    assert.equal(applyTunables("k.wgsl", source, {}).text, source);
    assert.equal(
      applyTunables("k.wgsl", "// f16 in words\nfn f() {}", {}).text,
      "// f16 in words\nfn f() {}",
    );
    const enabled = "enable f16;\nalias Real = f16;";
    assert.equal(applyTunables("k.wgsl", enabled, {}).text, enabled);
  });

  test("f32 constants are written so that WGSL takes them, also when tiny or huge", () => {
    for (const value of [1e-30, 1e21, 1e22, -0.1, 123456789, 2 ** 60]) {
      const { text } = applyTunables("k.wgsl", "const X: f32 = 0.0;", { constants: { X: value } });
      const literal = /= ([^;]+);/.exec(text)![1];
      assert.match(literal, /^-?(\d+\.\d*|\d*\.\d+|\d+)([eE][+-]?\d+)?f?$/, literal);
      assert.equal(Number(literal.replace(/f$/, "")), value);
    }
  });

  test("know where a character stood before, whatever was put in front of it", () => {
    const line = "const W: u32 = 64u; const Y: u32 = z;";
    const { text, placeInOriginal } = applyTunables("k.wgsl", `${line}\nalias R = f32; const V: R = y;`, {
      constants: { W: 8 },
      types: { R: "f16" },
    });
    const placeOf = (name: string) => {
      const before = text.slice(0, text.indexOf(name)).split("\n");
      return placeInOriginal({ line: before.length, column: before[before.length - 1].length + 1 });
    };
    assert.deepEqual(placeOf("const W"), { line: 1, column: 1 });
    assert.deepEqual(placeOf("z;"), { line: 1, column: line.indexOf("z;") + 1 });
    assert.deepEqual(placeOf("y;"), { line: 2, column: "alias R = f32; const V: R = y;".indexOf("y;") + 1 });
    /* what stands in the new value is placed where the old one begins */
    assert.deepEqual(placeOf("8u"), { line: 1, column: "const W: u32 =".length + 1 });
    const wide = applyTunables("k.wgsl", source, { constants: { WIDE: 123456 } });
    const real = wide.text.split("\n").findIndex((l) => l.startsWith("alias Real")) + 1;
    assert.deepEqual(wide.placeInOriginal({ line: real, column: 7 }), { line: 9, column: 7 });
  });

  test("of a name that is not there are refused with the names that are", () => {
    assert.throws(
      () => applyTunables("k.wgsl", source, { constants: { TIEL: 3 } }),
      (e: Error) =>
        e instanceof ShaderError &&
        /k\.wgsl has no top-level `const TIEL`/.test(e.message) &&
        /TILE, SCALE, ON, N, WIDE/.test(e.message),
    );
    assert.throws(
      () => applyTunables("k.wgsl", source, { types: { TILE: "f32" } }),
      (e: Error) => e instanceof ShaderError && /`alias TILE`. It has: Real, Element/.test(e.message),
    );
  });
});

const KERNEL = `
struct Params { rows: u32, /* not a field: x: u32 */ scale: f32, shift: i32 }
struct Pair { a: f32, b: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> output: array<u32>;
@group(0) @binding(3) var<storage> other: array<vec2<f16>>;
@group(0) @binding(4) var<storage, read> signs: array<i32>;
var<workgroup> shared: array<f32, 64>;
fn deep(i: u32) -> u32 { return bitcast<u32>(signs[i]); }
fn load(i: u32) -> f32 { let x = input[i].x; return x * f32(deep(i)); }
// @compute fn commented() {}
@compute @workgroup_size(64, 1, 1)
fn first(@builtin(global_invocation_id) id: vec3u) { output[id.x] = u32(load(id.x) * params.scale); }
@workgroup_size(8) @compute fn second() { let p = Pair(1.0, 2.0); output[0] = u32(other[0].x) + u32(p.a); }
fn helper() {}
`;

describe("reflection", () => {
  test("finds the entry points, not those in comments", () => {
    assert.deepEqual(entryPoints(KERNEL), ["first", "second"]);
  });

  test("gives what an entry point uses, through the functions that it calls, by binding number", () => {
    const layout = reflect("k.wgsl", KERNEL, "first");
    assert.deepEqual(layout.bindings, [
      {
        name: "params",
        binding: 0,
        kind: "uniform",
        dtype: undefined,
        lanes: 1,
        stride: undefined,
        size: 12,
      },
      { name: "output", binding: 1, kind: "read_write", dtype: "u32", lanes: 1, stride: 4, size: undefined },
      { name: "input", binding: 2, kind: "read", dtype: "f32", lanes: 4, stride: 16, size: undefined },
      { name: "signs", binding: 4, kind: "read", dtype: "i32", lanes: 1, stride: 4, size: undefined },
    ]);
    assert.deepEqual(layout.uniform, {
      name: "params",
      size: 16,
      fields: [
        { name: "rows", offset: 0, type: "u32" },
        { name: "scale", offset: 4, type: "f32" },
        { name: "shift", offset: 8, type: "i32" },
      ],
    });
    const second = reflect("k.wgsl", KERNEL, "second");
    assert.deepEqual(
      second.bindings.map((b) => [b.name, b.dtype, b.lanes]),
      [
        ["output", "u32", 1],
        ["other", "f16", 2],
      ],
    );
    assert.equal(second.uniform, undefined);
  });

  test("knows elements and sizes of fixed arrays, halves, matrices and structures, and a uniform of one value", () => {
    const text = `const N = 8u;
struct Pair { a: f32, b: u32 }
@group(0) @binding(0) var<uniform> n: u32;
@group(0) @binding(1) var<storage, read> fixed: array<vec4<f32>, N>;
@group(0) @binding(2) var<storage, read> halves: array<f16>;
@group(0) @binding(3) var<storage, read> turns: array<mat3x3f>;
@group(0) @binding(4) var<storage, read_write> pairs: array<Pair>;
@group(0) @binding(5) var<storage, read_write> total: atomic<u32>;
@compute @workgroup_size(1) fn main() {
  pairs[n].a = fixed[0].x + f32(halves[0]) + turns[0][0].x;
  atomicAdd(&total, 1);
}
`;
    const { bindings, uniform } = reflect("k.wgsl", text, "main");
    assert.deepEqual(uniform?.fields, [{ name: "n", offset: 0, type: "u32" }]);
    assert.deepEqual(
      bindings.slice(1).map(({ name, dtype, lanes, stride, size }) => [name, dtype, lanes, stride, size]),
      [
        ["fixed", "f32", 4, undefined, 128],
        ["halves", "f16", 1, 2, undefined],
        ["turns", "f32", 3, 48, undefined],
        ["pairs", undefined, 1, 8, undefined],
        ["total", "u32", 1, undefined, 4],
      ],
    );
  });

  test("a member or a field of the same name as a binding is no use of it", () => {
    const text = KERNEL.replace("u32(p.a)", "u32(p.a) + u32(vec2f().x)")
      .replace("struct Pair { a: f32", "struct Pair { a: f32, input: f32")
      .replace("Pair(1.0, 2.0)", "Pair(1.0, 2.0, 3.0)");
    const used = reflect("k.wgsl", text.replace("u32(p.a)", "u32(p.input)"), "second").bindings.map(
      (b) => b.name,
    );
    assert.deepEqual(used, ["output", "other"]);
  });

  test("refuses an entry point that is not there, and groups and fields that the engine does not bind", () => {
    const refuses = (text: string, entry: string, message: RegExp) =>
      assert.throws(
        () => reflect("k.wgsl", text, entry),
        (e: Error) => e instanceof ShaderError && message.test(e.message),
      );
    refuses(KERNEL, "third", /k\.wgsl has no compute entry point "third"\. It has: first, second\./);
    refuses(KERNEL, "helper", /no compute entry point "helper"/);
    refuses(
      KERNEL.replace("@group(0) @binding(1)", "@group(1) @binding(1)"),
      "first",
      /"output" is in group 1/,
    );
    refuses(KERNEL.replace("shift: i32", "shift: vec2<f32>"), "first", /params\.shift is vec2/);
    refuses(
      KERNEL.replace("@group(0) @binding(1)", "@group(1) @binding(1)"),
      "first",
      /^k\.wgsl:6:\d+: error: binding "output"/,
    );
  });

  test("comments become blanks of the same length", () => {
    const text = "a /* b\nc */ d // e\nf";
    const blanked = blankComments(text);
    assert.equal(blanked, "a     \n     d     \nf");
    assert.equal(blanked.length, text.length);
  });

  test("block comments nest, and what opens one inside a line comment does not", () => {
    for (const [text, bare] of [
      ["a /* /* b */ c */ d", "a d"],
      ["a /* // b */ c", "a c"],
      ["a // /* b\nc */", "a \nc */"],
      ["a /*/ b */ c", "a c"],
      ["a /* /* b */ c", "a "],
      ["/**/a/***/b", "a b"],
    ]) {
      const blanked = blankComments(text);
      assert.equal(blanked.length, text.length, text);
      assert.equal(blanked.replace(/ +/g, " ").trim(), bare.trim(), text);
    }
    const nested = KERNEL.replace(
      "@compute",
      "/* /* old */ @compute @workgroup_size(1) fn gone() {} */ @compute",
    );
    assert.deepEqual(entryPoints(nested), ["first", "second"]);
  });
});
