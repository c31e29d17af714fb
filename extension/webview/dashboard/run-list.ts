/** The list of runs beside the charts: which are shown, how far each is, and what can be done with it. */
import { describeAdvance } from "../../shared/run-text.js";
import { isActive, isResumable, progressOf, type RunSummary } from "../../shared/runs.js";
import { lineSample } from "../chart/line-sample.js";
import { button, element, keepingFocus, named } from "../elements.js";

export interface RunListActions {
  isShown(run: string): boolean;
  appearance(run: string): { color: string; dash: readonly number[] };
  onShow(run: string, isShown: boolean): void;
  onStop(run: string): void;
  onResume(run: string): void;
}

export class RunList {
  readonly element = element("ul", { className: "runs" });

  constructor(private readonly actions: RunListActions) {}

  /** Shows runs anew; the focus stays on the same control. */
  update(runs: readonly RunSummary[], labels: ReadonlyMap<string, string>, canControl: boolean): void {
    keepingFocus(this.element, () =>
      this.element.replaceChildren(...runs.map((run) => this.#item(run, labels.get(run.id)!, canControl))),
    );
  }

  #item(run: RunSummary, label: string, canControl: boolean): HTMLElement {
    const { actions } = this;
    const isShown = actions.isShown(run.id);
    const box = named(`show ${run.id}`, element("input", { type: "checkbox", checked: isShown }));
    box.onchange = () => actions.onShow(run.id, box.checked);
    const progress = progressOf(run);
    const controls = canControl
      ? [
          isActive(run.state) &&
            run.state !== "stopping" &&
            this.#control(run, "Stop", label, actions.onStop),
          isResumable(run) && this.#control(run, "Resume", label, actions.onResume),
        ]
      : [];
    return element(
      "li",
      { className: isShown ? "" : "hidden-run", title: run.id },
      element(
        "label",
        {},
        box,
        isShown ? lineSample(actions.appearance(run.id)) : element("span", { className: "line-sample" }),
        element("span", { className: "run-name" }, label),
        element("span", { className: `state state-${run.state}` }, run.state),
      ),
      element("div", { className: "run-details" }, describeAdvance(run)),
      isActive(run.state) && progress !== undefined && progressBar(progress, label),
      run.message !== null && (run.state === "failed" || run.state === "damaged")
        ? element("div", { className: "run-message" }, run.message)
        : null,
      ...controls,
    );
  }

  #control(run: RunSummary, text: string, label: string, act: (run: string) => void): HTMLElement {
    const attributes = { "aria-label": `${text} ${label}` };
    return named(
      `${text} ${run.id}`,
      button(text, () => act(run.id), { className: "small", attributes }),
    );
  }
}

function progressBar(value: number, label: string): HTMLElement {
  return element("progress", { value, max: 1, attributes: { "aria-label": `Progress of ${label}` } });
}
