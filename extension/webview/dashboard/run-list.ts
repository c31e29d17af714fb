/** The list of runs beside the charts: which are shown, how far each is, and what can be done with it. */
import { describeAdvance } from "../../shared/run-text.js";
import { isActive, isResumable, progressOf, type RunSummary } from "../../shared/runs.js";
import { lineSample } from "../chart/line-sample.js";
import { arrange, button, element, keepingFocus, named, setText } from "../elements.js";

export interface RunListActions {
  isShown(run: string): boolean;
  appearance(run: string): { color: string; dash: readonly number[] };
  onShow(run: string, isShown: boolean): void;
  onStop(run: string): void;
  onResume(run: string): void;
}

export class RunList {
  readonly element = element("ul", { className: "runs" });
  readonly #items = new Map<string, RunItem>();

  constructor(private readonly actions: RunListActions) {}

  /** Shows runs as they are now; the focus stays on the same control. */
  update(runs: readonly RunSummary[], labels: ReadonlyMap<string, string>, canControl: boolean): void {
    const ids = new Set(runs.map(({ id }) => id));
    for (const id of this.#items.keys()) if (!ids.has(id)) this.#items.delete(id);
    keepingFocus(this.element, () => {
      const items = runs.map((run) => {
        const item = this.#items.get(run.id) ?? new RunItem(run.id, this.actions);
        this.#items.set(run.id, item);
        item.update(run, labels.get(run.id)!, canControl);
        return item.element;
      });
      arrange(this.element, items);
    });
  }
}

/** A run's elements, which stay the same while it trains: a click ends on the element that it began on, or is none. */
class RunItem {
  readonly element = element("li", {});
  readonly #box: HTMLInputElement;
  readonly #label = element("label", {});
  #sample: Element = element("span", { className: "line-sample" });
  /** What the sample was drawn for. */
  #appearance: string | undefined;
  readonly #name = element("span", { className: "run-name" });
  readonly #state = element("span", {});
  readonly #details = element("div", { className: "run-details" });
  readonly #progress = element("progress", { max: 1 });
  readonly #message = element("div", { className: "run-message" });
  readonly #stop: HTMLButtonElement;
  readonly #resume: HTMLButtonElement;

  constructor(
    run: string,
    private readonly actions: RunListActions,
  ) {
    this.element.title = run;
    this.#box = named(`show ${run}`, element("input", { type: "checkbox" }));
    this.#box.onchange = () => actions.onShow(run, this.#box.checked);
    const control = (text: string, act: (run: string) => void) =>
      named(
        `${text} ${run}`,
        button(text, () => act(run), { className: "small" }),
      );
    this.#stop = control("Stop", actions.onStop);
    this.#resume = control("Resume", actions.onResume);
  }

  update(run: RunSummary, label: string, canControl: boolean): void {
    const isDrawn = run.kind === "run";
    const isShown = isDrawn && this.actions.isShown(run.id);
    this.element.className = isDrawn && !isShown ? "hidden-run" : "";
    this.#box.checked = isShown;
    this.#draw(isShown ? this.actions.appearance(run.id) : undefined);
    setText(this.#name, label);
    this.#state.className = `state state-${run.state}`;
    setText(this.#state, run.state);
    setText(this.#details, describeAdvance(run));
    const progress = progressOf(run);
    this.#progress.value = progress ?? 0;
    this.#progress.setAttribute("aria-label", `Progress of ${label}`);
    setText(this.#message, run.message ?? "");
    this.#stop.setAttribute("aria-label", `Stop ${label}`);
    this.#resume.setAttribute("aria-label", `Resume ${label}`);
    arrange(this.#label, [isDrawn && this.#box, isDrawn && this.#sample, this.#name, this.#state]);
    arrange(this.element, [
      this.#label,
      this.#details,
      isActive(run.state) && progress !== undefined && this.#progress,
      run.message !== null && (run.state === "failed" || run.state === "damaged") && this.#message,
      canControl && isActive(run.state) && run.state !== "stopping" && this.#stop,
      canControl && isResumable(run) && this.#resume,
    ]);
  }

  #draw(appearance: { color: string; dash: readonly number[] } | undefined): void {
    const drawn = JSON.stringify(appearance);
    if (drawn === this.#appearance) return;
    this.#appearance = drawn;
    this.#sample = appearance ? lineSample(appearance) : element("span", { className: "line-sample" });
  }
}
