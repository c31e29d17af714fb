/** The line of progress on terminals of any width, and counts as they are shown there. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ProgressLine } from "../../cli/progress.js";
import { formatCount } from "../../cli/table.js";

test("what can be spared gives way to what cannot, so that the time left is seen", () => {
  const parts = [
    "step 12345",
    { text: "12 % of ceiling", spare: 2 },
    { text: "1.20 GiB", spare: 1 },
    "3 min left",
  ];
  const shown = (columns: number, isTTY: boolean) => {
    let written = "";
    const stream = { isTTY, columns, write: (text: string) => (written += text) };
    new ProgressLine(stream as unknown as NodeJS.WriteStream).show(parts, true);
    return written.replace("\r\u001b[2K", "");
  };
  assert.equal(shown(80, true), "step 12345  12 % of ceiling  1.20 GiB  3 min left");
  assert.equal(shown(40, true), "step 12345  1.20 GiB  3 min left");
  assert.equal(shown(30, true), "step 12345  3 min left");
  assert.equal(shown(21, true), "step 12345  3 min l…");
  assert.equal(shown(20, false), "step 12345  12 % of ceiling  1.20 GiB  3 min left\n");
});

test("counts stand apart from their units", () => {
  const shown = [formatCount(256), formatCount(15.16), formatCount(1_180_800), formatCount(256, "FLOP")];
  assert.deepEqual(shown, ["256", "15.16", "1.18 M", "256 FLOP"]);
  assert.equal(formatCount(12_345, "B"), "12.3 kB");
});
