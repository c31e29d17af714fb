/** One key in the form: its control, its description, whether it differs from the default, what is wrong with it. */
import { type FormField, linesValue, parsedValue, textOf } from "../../language/form-model.js";
import { type KeyPath, nodeAt, type SchemaNode } from "../../language/schema.js";
import type { FormProblem } from "../../shared/form-protocol.js";
import { button, element } from "../elements.js";

type Change = (path: KeyPath, value: unknown) => void;

interface Editing {
  readonly element: HTMLElement;
  /** What takes the focus, and says whether it is right. */
  readonly control: HTMLElement;
  /** Shows what the file says, unless it is being typed. */
  show(value: unknown): void;
}

export class FieldView {
  readonly id: string;
  readonly element: HTMLElement;
  readonly #editing: Editing;
  readonly #state = element("span", { className: "state" });
  readonly #reset: HTMLButtonElement;
  readonly #problems = element("ul", { className: "problems" });
  #field: FormField;

  constructor(field: FormField, schema: SchemaNode, change: Change) {
    this.id = field.id;
    this.#field = field;
    const node = nodeAt(schema, field.path) ?? {};
    const label = element("span", { className: "name", id: `${field.id}:label` }, field.name);
    const help = element(
      "p",
      { className: "description", id: `${field.id}:help` },
      `${field.description} Expects ${field.expectation}.`,
    );
    this.#problems.id = `${field.id}:problems`;
    this.#editing = editingOf(field, node, (value) => change(field.path, value));
    this.#reset = button("Use the default", () => change(field.path, undefined), {
      className: "quiet",
    });
    this.element = element(
      "div",
      { className: "form-field" },
      element("div", { className: "line" }, label, this.#state, this.#reset),
      this.#editing.element,
      this.#problems,
      help,
    );
  }

  show(field: FormField, problems: readonly FormProblem[]): void {
    this.#field = field;
    const isSet = field.value !== undefined;
    this.#editing.show(field.value);
    this.element.classList.toggle("differs", field.differs);
    this.#state.textContent = field.differs
      ? "changed"
      : field.isRequired && !isSet
        ? "required"
        : isSet
          ? "set to the default"
          : "";
    this.#reset.hidden = !isSet || field.isRequired;
    const isRemoval = field.standard === undefined;
    this.#reset.textContent = isRemoval ? "Remove" : "Use the default";
    this.#reset.setAttribute(
      "aria-label",
      isRemoval ? `Remove ${field.id}` : `Use the default of ${field.id}`,
    );
    this.#problems.replaceChildren(
      ...problems.map(({ message, isError }) =>
        element(
          "li",
          { className: isError ? "error" : "warning" },
          `${isError ? "" : "Warning: "}${message}`,
        ),
      ),
    );
    this.#editing.control.setAttribute("aria-invalid", String(problems.some(({ isError }) => isError)));
  }

  /** Whether all words are found in its name or description. */
  matches(words: readonly string[], onlyDiffering: boolean): boolean {
    const text = `${this.#field.id} ${this.#field.description}`.toLowerCase();
    return (!onlyDiffering || this.#field.differs) && words.every((word) => text.includes(word));
  }
}

function editingOf(field: FormField, node: SchemaNode, change: (value: unknown) => void): Editing {
  const attributes = {
    "aria-labelledby": `${field.id}:label`,
    "aria-describedby": `${field.id}:problems ${field.id}:help`,
  };
  const standard = field.standard === undefined ? "" : textOf(field.standard);
  const { control } = field;
  switch (control.kind) {
    case "choice": {
      const list = element("select", { id: field.id, attributes });
      list.append(
        element("option", { value: "" }, standard === "" ? "not set" : `default: ${standard}`),
        ...control.options.map((option) => element("option", { value: option }, option)),
      );
      list.onchange = () => change(parsedValue(list.value, node));
      return {
        element: list,
        control: list,
        show: (value) => {
          list.value = textOf(value);
        },
      };
    }
    case "several": {
      const boxes = control.options.map((option) => {
        const box = element("input", { type: "checkbox", id: `${field.id}:${option}`, value: option });
        box.onchange = () => {
          const chosen = boxes.filter(({ checked }) => checked).map(({ value }) => value);
          change(chosen.length === 0 ? undefined : chosen);
        };
        return box;
      });
      const group = element(
        "div",
        { className: "several", attributes: { role: "group", ...attributes } },
        ...boxes.map((box) => element("label", { className: "check" }, box, element("span", {}, box.value))),
      );
      return {
        element: group,
        control: group,
        show: (value) => {
          const chosen: unknown = value ?? field.standard;
          for (const box of boxes) box.checked = Array.isArray(chosen) && chosen.includes(box.value);
        },
      };
    }
    case "lines": {
      const area = element("textarea", { id: field.id, rows: 2, placeholder: "one a line", attributes });
      const typing = typingIn(area, (text) => change(linesValue(text, node)));
      return {
        element: area,
        control: area,
        show: (value) => {
          const entries = Array.isArray(value) ? value : value === undefined ? [] : [value];
          if (!typing.isUnderWay) area.value = entries.map(textOf).join("\n");
          area.rows = Math.max(1, Math.min(8, entries.length + 1));
        },
      };
    }
    case "line": {
      const input = element("input", { type: "text", id: field.id, attributes });
      input.placeholder = standard === "" ? "" : `default: ${standard}`;
      const typing = typingIn(input, (text) => change(parsedValue(text, node)));
      const suggestions = element("datalist", { id: `${field.id}:suggestions` });
      suggestions.append(...control.suggestions.map((value) => element("option", { value })));
      const hasSuggestions = control.suggestions.length > 0;
      if (hasSuggestions) input.setAttribute("list", suggestions.id);
      return {
        element: element("span", { className: "one-line" }, input, hasSuggestions && suggestions),
        control: input,
        show: (value) => {
          if (!typing.isUnderWay) input.value = textOf(value);
        },
      };
    }
  }
}

/** Hands on what was typed, and knows whether something is being typed, which nothing may overwrite. */
function typingIn(
  control: HTMLInputElement | HTMLTextAreaElement,
  done: (text: string) => void,
): { readonly isUnderWay: boolean } {
  const typing = { isUnderWay: false };
  control.addEventListener("input", () => {
    typing.isUnderWay = true;
  });
  control.addEventListener("change", () => {
    typing.isUnderWay = false;
    done(control.value);
  });
  return typing;
}
