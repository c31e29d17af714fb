/** Makes elements: text always as text, never as HTML. */

type Properties<Tag extends keyof HTMLElementTagNameMap> = Partial<
  Omit<HTMLElementTagNameMap[Tag], "style" | "dataset" | "children" | "attributes">
> & {
  readonly attributes?: Readonly<Record<string, string>>;
};

type Child = Node | string | null | undefined | false;

/** An element with properties, attributes and children. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Properties<Tag> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  const { attributes = {}, ...own } = properties;
  Object.assign(made, own);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  for (const child of children)
    if (child !== null && child !== undefined && child !== false) made.append(child);
  return made;
}

export function button(
  text: string,
  onclick: () => void,
  properties: Properties<"button"> = {},
): HTMLButtonElement {
  return element("button", { type: "button", onclick, ...properties }, text);
}

/** Names a control, which keeps the focus when its part of the page is built anew (`keepingFocus`). */
export function named<Control extends HTMLElement>(name: string, control: Control): Control {
  control.dataset.control = name;
  return control;
}

/** A choice with its label. */
export function select<Value extends string>(
  label: string,
  options: readonly (readonly [Value, string])[],
  value: string,
  onChange: (value: Value) => void,
): HTMLLabelElement {
  const list = named(label, element("select", {}));
  for (const [name, text] of options) list.append(element("option", { value: name }, text));
  list.value = value;
  list.onchange = () => onChange(list.value as Value);
  return element("label", { className: "field" }, element("span", {}, label), list);
}

export function checkbox(label: string, checked: boolean, onChange: (checked: boolean) => void) {
  const box = named(label, element("input", { type: "checkbox", checked }));
  box.onchange = () => onChange(box.checked);
  return element("label", { className: "check" }, box, element("span", {}, label));
}

/** A table; the first cell of a row is its heading. */
export function table(
  caption: string,
  headings: readonly string[],
  rows: readonly (readonly (string | Node)[])[],
): HTMLTableElement {
  return element(
    "table",
    {},
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...headings.map((each) => element("th", { scope: "col" }, each)))),
    element(
      "tbody",
      {},
      ...rows.map((cells) =>
        element(
          "tr",
          {},
          ...cells.map((cell, at) =>
            at === 0 ? element("th", { scope: "row" }, cell) : element("td", {}, cell),
          ),
        ),
      ),
    ),
  );
}

/** How a table is sorted by one of its columns. */
export type SortOrder = "ascending" | "descending" | "none";

/** The heading of a column that a table can be sorted by. */
export function sortHeading(
  { id, title, hint, order }: { id: string; title: string; hint?: string; order: SortOrder },
  onSort: () => void,
): HTMLTableCellElement {
  const arrow = { ascending: " ↑", descending: " ↓", none: "" }[order];
  const sorting = button(`${title}${arrow}`, onSort, {
    className: "quiet sort",
    ...(hint && { title: hint }),
  });
  return element("th", { scope: "col", attributes: { "aria-sort": order } }, named(`sort ${id}`, sorting));
}

/** A part that scrolls by itself, by the keyboard too. */
export function scrollRegion(label: string, ...children: readonly Child[]): HTMLElement {
  const attributes = { role: "region", "aria-label": label };
  return element("div", { className: "scroll", tabIndex: 0, attributes }, ...children);
}

/** Builds a part of the page anew; the focus stays on the control of the same name. */
export function keepingFocus(place: HTMLElement, build: () => void): void {
  const focused = document.activeElement as HTMLElement | null;
  const isInside = focused !== null && place.contains(focused);
  build();
  if (!isInside || document.activeElement === focused) return;
  const controls = [...place.querySelectorAll<HTMLElement>("[data-control]")];
  const again = focused.isConnected
    ? focused
    : controls.find(({ dataset }) => dataset.control === focused.dataset.control);
  again?.focus({ preventScroll: true });
}

/** Puts parts into a place in their order; those that are there already, and in order, are not touched. */
export function arrange(place: Element, parts: readonly (Element | false)[]): void {
  const wanted = parts.filter((part) => part !== false);
  const kept = new Set<Element>(wanted);
  for (const child of [...place.children]) if (!kept.has(child)) child.remove();
  for (const [at, part] of wanted.entries())
    if (place.children[at] !== part) place.insertBefore(part, place.children[at] ?? null);
}

/** Changes a text where it is another, so that what is selected in it stays so. */
export function setText(place: Element, text: string): void {
  if (place.textContent !== text) place.textContent = text;
}

/** Calls a function before the next frame, however often it is asked to. */
export function everyFrame(draw: () => void): () => void {
  let isAsked = false;
  return () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => {
      isAsked = false;
      draw();
    });
  };
}

/** One line at the foot of a page for what happened, read out by screen readers. */
export class Notice {
  readonly element = element("div", { className: "notice", hidden: true, attributes: { role: "status" } });
  #timer: ReturnType<typeof setTimeout> | undefined;

  show(text: string, isError = false): void {
    this.element.textContent = text;
    this.element.hidden = false;
    this.element.classList.toggle("error", isError);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.hide(), isError ? 20_000 : 5000);
  }

  hide(): void {
    this.element.hidden = true;
  }

  /** Shows why something failed. */
  readonly fail = (error: unknown): void => {
    this.show(error instanceof Error ? error.message : String(error), true);
  };
}
