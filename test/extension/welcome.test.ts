/** What empty views say: one thing in every situation, with one button that helps there. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { packageRoot } from "../../cli/version.js";

interface Manifest {
  readonly contributes: {
    readonly views: Readonly<Record<string, readonly { readonly id: string }[]>>;
    readonly viewsWelcome: readonly {
      readonly view: string;
      readonly contents: string;
      readonly when: string;
    }[];
  };
}

type Context = Readonly<Record<string, string | boolean>>;

/** A clause of keys, negations and equalities joined by "and": all that the manifest uses here. */
function holds(clause: string, context: Context): boolean {
  return clause.split(" && ").every((term) => {
    const [, isNot, key, operator, value] = /^(!?)([\w.]+)(?: (===?|!=) (\w+))?$/.exec(term) ?? [];
    assert.ok(key in context, `${term} in ${clause}`);
    if (operator === undefined) return Boolean(context[key]) !== (isNot === "!");
    return (String(context[key]) === value) !== (operator === "!=");
  });
}

const { contributes } = JSON.parse(
  readFileSync(join(packageRoot(), "extension", "package.json"), "utf8"),
) as Manifest;

for (const { id } of Object.values(contributes.views).flat())
  test(`${id} says one thing, and offers one thing to do, whatever the situation`, () => {
    for (const workbenchState of ["empty", "folder", "workspace"])
      for (const isWorkspaceTrusted of [true, false])
        for (const ready of [true, false])
          for (const hasConfig of [true, false]) {
            const context = {
              workbenchState,
              isWorkspaceTrusted,
              "slmForge.ready": ready,
              "slmForge.hasConfig": hasConfig,
            };
            const said = contributes.viewsWelcome.filter(
              ({ view, when }) => view === id && holds(when, context),
            );
            assert.equal(
              said.length,
              1,
              `${JSON.stringify(context)}: ${said.map(({ when }) => when).join(" | ")}`,
            );
            const buttons = said[0].contents
              .split("\n")
              .filter((line) => /^\[[^\]]+\]\(command:[\w.]+\)$/.test(line));
            assert.equal(buttons.length, 1, said[0].contents);
          }
  });
