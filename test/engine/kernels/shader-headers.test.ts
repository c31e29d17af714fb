/** Every kernel's header names its bindings, its dispatch and its source, and the bindings are those declared. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { shadersFolder } from "../../../engine/gpu/index.js";
import { blankComments, entryPoints } from "../../../engine/gpu/wgsl-text.js";

const files = readdirSync(shadersFolder()).filter((name) => name.endsWith(".wgsl"));

const read = (file: string) => readFileSync(join(shadersFolder(), file), "utf8");

/** The leading comment, without its slashes. */
function headerOf(source: string): string {
  const lines = source.split("\n");
  const end = lines.findIndex((line) => !line.startsWith("//"));
  return lines
    .slice(0, end < 0 ? lines.length : end)
    .map((line) => line.slice(2))
    .join("\n");
}

/** The text after `label:` at the beginning of a line, up to an empty line or the next label. */
function sectionOf(header: string, label: string): string | undefined {
  return new RegExp(`^ ${label}:\\s*(\\S[\\s\\S]*?)(?=\\n\\s*(?:\\n|$)|\\n \\w+:|$(?![\\s\\S]))`, "m").exec(
    header,
  )?.[1];
}

/** `0 params, 1 x, …` up to the full stop; what stands in parentheses is a remark. */
function namedBindings(section: string): string[] {
  return section
    .replace(/\([^()]*\)/g, "")
    .replace(/\.[\s\S]*$/, "")
    .split(",")
    .map((item) => item.trim());
}

function declaredBindings(source: string): string[] {
  const declarations = blankComments(source).matchAll(/@binding\((\d+)\)[^;]*?\bvar<[^>]*>\s*(\w+)/g);
  return Array.from(declarations, ([, binding, name]) => `${binding} ${name}`);
}

/** What a header lacks or says wrongly. */
function faults(source: string): string[] {
  const header = headerOf(source);
  const found: string[] = [];
  const declared = declaredBindings(source).join(", ");
  const bindings = sectionOf(header, "Bindings");
  const named = bindings && namedBindings(bindings).join(", ");
  if (named !== declared) found.push(`Bindings: ${named ?? "none"}, where the file declares ${declared}`);
  const dispatch = sectionOf(header, "Dispatch");
  if (dispatch === undefined) found.push("no Dispatch");
  const entries = entryPoints(source);
  for (const entry of entries.length > 1 ? entries : []) {
    if (dispatch && !new RegExp(`\\b${entry}\\b`).test(dispatch)) found.push(`no ${entry} in Dispatch`);
  }
  if (sectionOf(header, "Source") === undefined) found.push("no Source");
  return found;
}

describe("shader headers", () => {
  for (const file of files) {
    test(file, () => {
      assert.ok(declaredBindings(read(file)).length > 0);
      assert.deepEqual(faults(read(file)), []);
    });
  }

  test("a header that lacks something, or names a binding wrongly, is refused", () => {
    const source = read("softmax.wgsl");
    const damaged: [RegExp, string, RegExp][] = [
      [/^\/\/ Bindings:.*\n/m, "", /^Bindings: none/],
      [/ 3 saved_y,/, "", /^Bindings: 0 params, 1 x, 2 y, 4 dy, 5 dx,/],
      [/ 3 saved_y,/, " 3 y_saved,", /y_saved/],
      [/ 3 saved_y,/, " 4 saved_y,", /4 saved_y/],
      [/@binding\(5\)/, "@binding(6)", /6 dx$/],
      [/^\/\/ Dispatch:.*\n/m, "", /^no Dispatch$/],
      [/(Dispatch:.*), backward/, "$1", /^no backward in Dispatch$/],
      [/^\/\/ Source:.*\n/m, "", /^no Source$/],
      [/(Source:).*/, "$1", /^no Source$/],
      [/^/, "\n", /^Bindings: none/],
    ];
    for (const [pattern, replacement, complaint] of damaged) {
      const text = source.replace(pattern, replacement);
      assert.notEqual(text, source);
      assert.match(faults(text)[0] ?? "nothing", complaint);
    }
  });
});
