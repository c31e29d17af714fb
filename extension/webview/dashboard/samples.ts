/** Text that models wrote while they were trained, the newest first. */

import { lineSample } from "../chart/line-sample.js";
import { element } from "../elements.js";
import type { ShownRun } from "./panels.js";

const MOST_SHOWN = 30;

/** Shows the samples of runs into an element. */
export function showSamples(into: HTMLElement, runs: readonly ShownRun[]): void {
  const samples = runs
    .flatMap((run) => run.numbers.events.map((event) => ({ run, event })))
    .filter(({ event }) => event.kind === "sample" && typeof event.text === "string")
    .sort((a, b) => b.event.time.localeCompare(a.event.time))
    .slice(0, MOST_SHOWN);
  into.hidden = samples.length === 0;
  const list = samples.map(({ run, event }) =>
    element(
      "li",
      {},
      element(
        "div",
        { className: "sample-from" },
        lineSample(run),
        element("strong", {}, run.label),
        ` step ${event.step ?? "?"}`,
      ),
      element(
        "p",
        {},
        element("span", { className: "prompt" }, event.prompt ?? ""),
        (event.text ?? "").startsWith(event.prompt ?? "\0")
          ? (event.text ?? "").slice((event.prompt ?? "").length)
          : (event.text ?? ""),
      ),
    ),
  );
  into.replaceChildren(element("h2", {}, "Samples"), element("ul", {}, ...list));
}
