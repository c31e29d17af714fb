/** What axe says of a page or of a frame in one. */
import assert from "node:assert/strict";
import axe from "axe-core";
import type { Frame, Page } from "playwright-core";

/** Fails where axe finds anything serious. */
export async function checkAccess(place: Page | Frame): Promise<void> {
  await place.evaluate(axe.source);
  const found = await place.evaluate(async () => {
    const run = (globalThis as unknown as { axe: { run(): Promise<axe.AxeResults> } }).axe;
    return (await run.run()).violations;
  });
  const serious = found
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join("\n")}`);
  assert.deepEqual(serious, []);
}
