/** A configuration as a form. What is typed becomes an edit of the file; what the file says comes back as the form. */
import "../style.css";
import "./form.css";
import { type FormSection, formOf } from "../../language/form-model.js";
import type { KeyPath } from "../../language/schema.js";
import type { FormState, FromForm, ToForm } from "../../shared/form-protocol.js";
import { button, checkbox, element } from "../elements.js";
import { FieldView } from "./field.js";

declare function acquireVsCodeApi(): {
  postMessage(message: FromForm): void;
  getState(): unknown;
  setState(state: unknown): void;
};

interface ViewState {
  search: string;
  onlyDiffering: boolean;
  closed: string[];
}

const INITIAL: ViewState = { search: "", onlyDiffering: false, closed: [] };

class Form {
  readonly #host = acquireVsCodeApi();
  readonly #view: ViewState = { ...INITIAL, ...(this.#host.getState() as Partial<ViewState> | null) };
  readonly #title = element("h1");
  readonly #summary = element("p", { className: "summary", attributes: { role: "status" } });
  readonly #search = element("input", {
    type: "search",
    placeholder: "Search keys",
    value: this.#view.search,
    attributes: { "aria-label": "Search keys and their descriptions" },
  });
  readonly #unreadable = element("p", {
    className: "unreadable",
    hidden: true,
    attributes: { role: "alert" },
  });
  readonly #sections = element("div", { className: "sections" });
  readonly #bar: HTMLElement;
  #fields: FieldView[] = [];
  #boxes: { readonly section: FormSection; readonly box: HTMLDetailsElement; readonly own: FieldView[] }[] =
    [];
  /** Which sections and fields there are; they are built anew only when this changes. */
  #structure = "";

  constructor(root: HTMLElement) {
    this.#search.oninput = () => this.#changeView({ search: this.#search.value });
    this.#bar = element(
      "div",
      { className: "toolbar" },
      this.#search,
      checkbox("Only what differs from the defaults", this.#view.onlyDiffering, (onlyDiffering) =>
        this.#changeView({ onlyDiffering }),
      ),
      element("span", { className: "spring" }),
      button("Run", () => this.#command("run"), { className: "primary" }),
      button("Plan", () => this.#command("plan")),
      button("Dry run", () => this.#command("dryRun")),
    );
    const asText = button("Edit as text", () => this.#command("text"));
    root.append(
      element("header", { className: "head" }, this.#title, asText),
      this.#unreadable,
      this.#bar,
      this.#summary,
      this.#sections,
    );
    window.addEventListener("message", ({ data }: MessageEvent<ToForm>) => this.#receive(data));
    this.#host.postMessage({ type: "ready" });
  }

  #receive(message: ToForm): void {
    const isReadable = message.type === "form";
    this.#unreadable.hidden = isReadable;
    for (const part of [this.#bar, this.#summary, this.#sections]) part.hidden = !isReadable;
    if (isReadable) this.#show(message);
    else this.#unreadable.textContent = message.message;
  }

  #show({ name, schema, values, problems }: FormState): void {
    this.#title.textContent = name;
    const sections = formOf(schema, values);
    const structure = JSON.stringify(sections.map(({ id, fields }) => [id, fields.map((each) => each.id)]));
    if (structure !== this.#structure) {
      const focused = (document.activeElement as HTMLElement | null)?.id;
      this.#structure = structure;
      this.#build(sections, schema);
      if (focused) document.getElementById(focused)?.focus();
    }
    const all = new Map(sections.flatMap(({ fields }) => fields.map((each) => [each.id, each] as const)));
    for (const view of this.#fields) {
      const field = all.get(view.id);
      const own = problems.filter(({ path }) => path.replace(/\[\d+\].*$/, "") === view.id);
      if (field) view.show(field, own);
    }
    const placed = new Set(this.#fields.map(({ id }) => id));
    const others = problems.filter(({ path }) => !placed.has(path.replace(/\[\d+\].*$/, "")));
    const differing = [...all.values()].filter(({ differs }) => differs).length;
    const errors = problems.filter(({ isError }) => isError).length;
    this.#summary.textContent = [
      `${differing} of ${all.size} keys differ from their defaults`,
      errors === 0 ? "no errors" : `${errors} ${errors === 1 ? "error" : "errors"}`,
      ...others.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`)),
    ].join("; ");
    this.#filter();
  }

  #build(sections: readonly FormSection[], schema: FormState["schema"]): void {
    this.#fields = [];
    this.#boxes = sections.map((section) => {
      const own = section.fields.map((field) => new FieldView(field, schema, this.#change));
      this.#fields.push(...own);
      const box = element(
        "details",
        {
          open: !this.#view.closed.includes(section.id),
          className: `section level-${Math.min(2, section.level)}`,
        },
        element("summary", {}, element("h2", { id: `section:${section.id}` }, section.title)),
        section.description === "" ? null : element("p", { className: "description" }, section.description),
        ...own.map((view) => view.element),
        section.isRemovable &&
          button(`Remove ${section.title}`, () => this.#change(section.path, undefined), {
            className: "small",
          }),
        section.addition && this.#adder(section),
      );
      box.ontoggle = () => {
        const others = this.#view.closed.filter((id) => id !== section.id);
        this.#changeView({ closed: box.open ? others : [...others, section.id] });
      };
      return { section, box, own };
    });
    this.#sections.replaceChildren(...this.#boxes.map(({ box }) => box));
  }

  /** Where a name of one's own is added. */
  #adder({ id, path, addition }: FormSection): HTMLElement {
    const input = element("input", {
      type: "text",
      id: `add:${id}`,
      placeholder: "name",
      attributes: { "aria-label": `Name to add to ${id}` },
    });
    const add = () => {
      const name = input.value.trim();
      const isRight = addition?.pattern === undefined || new RegExp(addition.pattern).test(name);
      input.setCustomValidity(isRight ? "" : 'Use letters, digits, "_" and "-".');
      if (!input.reportValidity() || name === "") return;
      input.value = "";
      this.#change([...path, name], addition?.value);
    };
    input.onkeydown = ({ key }) => {
      if (key === "Enter") add();
    };
    return element("div", { className: "adder" }, input, button(`Add to ${id}`, add, { className: "small" }));
  }

  readonly #change = (path: KeyPath, value: unknown): void => {
    this.#host.postMessage({ type: "change", path, value });
  };

  #command(command: "run" | "plan" | "dryRun" | "text"): void {
    this.#host.postMessage({ type: "command", command });
  }

  #changeView(change: Partial<ViewState>): void {
    Object.assign(this.#view, change);
    this.#host.setState(this.#view);
    this.#filter();
  }

  #filter(): void {
    const words = this.#view.search.toLowerCase().split(/\s+/).filter(Boolean);
    const isFiltered = words.length > 0 || this.#view.onlyDiffering;
    for (const { section, box, own } of this.#boxes) {
      for (const view of own) view.element.hidden = !view.matches(words, this.#view.onlyDiffering);
      const isNamed = words.length > 0 && words.every((word) => section.id.toLowerCase().includes(word));
      box.hidden = isFiltered && !isNamed && own.every((view) => view.element.hidden);
    }
  }
}

new Form(document.getElementById("page") as HTMLElement);
