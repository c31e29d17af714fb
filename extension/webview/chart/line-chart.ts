/**
 * A chart of lines: zoomed by dragging, panned with Shift or the arrow keys, reset by a double click; what lies under
 * the pointer is told for all lines. The picture and what follows the pointer are two canvases, so that moving the
 * pointer draws no line again.
 */
import { nearestIndex } from "../../shared/columns.js";
import type { Range } from "../../shared/scale.js";
import { element, everyFrame } from "../elements.js";
import { theme } from "../theme.js";
import { type AxisFormat, drawChart, type Frame, frameOf, type Line, type View } from "./drawing.js";
import { CanvasSurface, SvgSurface } from "./surface.js";

export interface ChartOptions {
  readonly title: string;
  readonly format: AxisFormat;
  /** The lines to show now. */
  lines(): readonly Line[];
  view(): View;
  /** The person zoomed or panned; undefined ranges show all. */
  onView(x: Range | undefined, y: Range | undefined): void;
  /** The pointer is at a value of x, so that other charts show it too. */
  onPointer(x: number | undefined): void;
}

const ROW_HEIGHT = 12;
/** A drag of less height changes only x. */
const FLAT_DRAG = 24;

export class LineChart {
  readonly element: HTMLElement;
  readonly #picture = element("canvas", { attributes: { "aria-hidden": "true" } });
  readonly #overlay = element("canvas", { tabIndex: 0 });
  readonly #tooltip = element("div", { className: "tooltip", hidden: true });
  readonly #empty = element("p", { className: "empty", hidden: true }, "Nothing measured yet");
  readonly invalidate = everyFrame(() => this.#draw());
  readonly #follow = everyFrame(() => this.#drawOverlay());
  #frame: Frame | undefined;
  #lines: readonly Line[] = [];
  #pointer: { x: number; y: number } | undefined;
  #drag: { fromX: number; fromY: number; frame: Frame; isPan: boolean } | undefined;
  /** What is scrolled out of sight is drawn when it comes back. */
  #isVisible = true;
  #isStale = false;
  /** Value that another chart's pointer is at. */
  #other: number | undefined;

  constructor(private readonly options: ChartOptions) {
    this.#overlay.setAttribute("role", "img");
    /* until it is drawn, which waits until it is in view */
    this.#overlay.setAttribute("aria-label", options.title);
    this.element = element(
      "div",
      { className: "chart" },
      this.#picture,
      this.#overlay,
      this.#empty,
      this.#tooltip,
    );
    new ResizeObserver(() => this.invalidate()).observe(this.element);
    new IntersectionObserver(([entry]) => {
      this.#isVisible = entry.isIntersecting;
      if (this.#isVisible && this.#isStale) this.invalidate();
    }).observe(this.element);
    this.#listen();
  }

  /** Shows where another chart's pointer is. */
  pointAt(x: number | undefined): void {
    if (this.#pointer !== undefined) return;
    this.#other = x;
    this.#follow();
  }

  /** The picture as SVG, with title and legend. */
  toSvg(): string {
    const { width, height } = this.#size();
    const colors = theme();
    const surface = new SvgSurface(width, height + 30 + this.#lines.length * (ROW_HEIGHT + 4));
    surface.fill(0, 0, surface.width, surface.height, colors.background);
    const lines = this.options.lines();
    drawChart(surface, frameOf(lines, this.options.view(), width, height), colors, this.options.format);
    const text = { color: colors.foreground, size: 12, font: colors.font };
    surface.text(this.options.title, 62, height + 10, { ...text, bold: true });
    for (const [at, { label, color, dash }] of lines.entries()) {
      const y = height + 28 + at * (ROW_HEIGHT + 4);
      surface.line([62, y, 86, y], { color, width: 2, dash });
      surface.text(label, 94, y, text);
    }
    return surface.toString();
  }

  #size(): { width: number; height: number } {
    return {
      width: Math.max(120, this.element.clientWidth),
      height: Math.max(100, this.element.clientHeight),
    };
  }

  #draw(): void {
    this.#isStale = !this.#isVisible || !this.element.isConnected;
    if (this.#isStale) return;
    const { width, height } = this.#size();
    this.#lines = this.options.lines();
    const density = devicePixelRatio || 1;
    this.#frame = frameOf(this.#lines, this.options.view(), width, height, density);
    this.#empty.hidden = this.#lines.some(({ x }) => x.length > 0);
    const context = prepare(this.#picture, width, height);
    drawChart(new CanvasSurface(context, density), this.#frame, theme(), this.options.format);
    this.#overlay.setAttribute("aria-label", this.#summary());
    this.#drawOverlay();
  }

  /** What the picture says, for those who cannot see it. */
  #summary(): string {
    const ends = this.#lines.slice(0, 8).map(({ label, y }) => {
      let last = y.length - 1;
      while (last > 0 && Number.isNaN(y[last])) last--;
      return `${label} ${last < 0 ? "no value" : this.options.format.y(y[last])}`;
    });
    return `${this.options.title}: ${ends.join(", ") || "no lines"}. Arrow keys pan, plus and minus zoom, 0 resets.`;
  }

  #drawOverlay(): void {
    const { width, height } = this.#size();
    const context = prepare(this.#overlay, width, height);
    const frame = this.#frame;
    this.#tooltip.hidden = true;
    if (frame === undefined) return;
    const { foreground, accent } = theme();
    const surface = new CanvasSurface(context, devicePixelRatio || 1);
    if (this.#drag && !this.#drag.isPan && this.#pointer) {
      const { fromX, fromY } = this.#drag;
      const isFlat = Math.abs(this.#pointer.y - fromY) < FLAT_DRAG;
      const [top, bottom] = isFlat
        ? [frame.top, frame.bottom]
        : [fromY, this.#pointer.y].sort((a, b) => a - b);
      context.globalAlpha = 0.2;
      surface.fill(
        Math.min(fromX, this.#pointer.x),
        top,
        Math.abs(this.#pointer.x - fromX),
        bottom - top,
        accent,
      );
      context.globalAlpha = 1;
      return;
    }
    const value = this.#pointer ? frame.x.toValue(this.#pointer.x) : this.#other;
    if (value === undefined) return;
    const x = frame.x.toPixel(value);
    if (x < frame.left || x > frame.right) return;
    surface.line([x, frame.top, x, frame.bottom], {
      color: foreground,
      width: 1,
      opacity: 0.45,
      dash: [3, 3],
    });
    const rows = this.#lines
      .map((line) => ({ line, at: nearestIndex(line.x, value) }))
      .filter(({ line, at }) => at >= 0 && Number.isFinite(line.y[at]))
      .filter(({ line }) => value >= line.x[0] && value <= line.x[line.x.length - 1] * 1.02)
      .sort((a, b) => b.line.y[b.at] - a.line.y[a.at]);
    for (const { line, at } of rows) {
      const [px, py] = [frame.x.toPixel(line.x[at]), frame.y.toPixel(line.y[at])];
      surface.fill(px - 3, py - 3, 6, 6, line.color);
    }
    if (this.#pointer) this.#showTooltip(value, rows, width);
  }

  #showTooltip(value: number, rows: readonly { line: Line; at: number }[], width: number): void {
    if (rows.length === 0 || !this.#pointer) return;
    const { format } = this.options;
    const list = rows.map(({ line, at }) => {
      const swatch = element("span", { className: "swatch" });
      swatch.style.background = line.color;
      const own = line.raw && Number.isFinite(line.raw[at]) ? ` (${format.y(line.raw[at])})` : "";
      return element(
        "tr",
        {},
        element("td", {}, swatch, line.label),
        element("td", {}, `${format.y(line.y[at])}${own}`),
      );
    });
    this.#tooltip.replaceChildren(
      element("div", { className: "tooltip-title" }, format.x(value)),
      element("table", {}, ...list),
    );
    this.#tooltip.hidden = false;
    const isRight = this.#pointer.x > width / 2;
    this.#tooltip.style.left = isRight ? "" : `${this.#pointer.x + 14}px`;
    this.#tooltip.style.right = isRight ? `${width - this.#pointer.x + 14}px` : "";
    this.#tooltip.style.top = `${Math.max(0, this.#pointer.y - 20)}px`;
  }

  #listen(): void {
    const canvas = this.#overlay;
    const place = (event: MouseEvent) => {
      const { left, top } = canvas.getBoundingClientRect();
      return { x: event.clientX - left, y: event.clientY - top };
    };
    canvas.addEventListener("pointermove", (event) => {
      this.#pointer = place(event);
      if (this.#drag?.isPan) this.#pan(this.#drag.fromX - this.#pointer.x, this.#drag.frame);
      else if (!this.#drag && this.#frame) this.options.onPointer(this.#frame.x.toValue(this.#pointer.x));
      this.#follow();
    });
    canvas.addEventListener("pointerleave", () => {
      this.#pointer = undefined;
      this.options.onPointer(undefined);
      this.#follow();
    });
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button > 1 || !this.#frame) return;
      canvas.setPointerCapture(event.pointerId);
      const { x, y } = place(event);
      this.#drag = { fromX: x, fromY: y, frame: this.#frame, isPan: event.shiftKey || event.button === 1 };
    });
    canvas.addEventListener("pointerup", (event) => {
      const drag = this.#drag;
      this.#drag = undefined;
      if (drag && !drag.isPan) this.#zoomTo(drag, place(event));
      this.#follow();
    });
    canvas.addEventListener("pointercancel", () => {
      this.#drag = undefined;
      this.#follow();
    });
    canvas.addEventListener("dblclick", () => this.options.onView(undefined, undefined));
    canvas.addEventListener(
      "wheel",
      (event) => {
        /* without a key the page scrolls */
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        this.#zoom(2 ** (event.deltaY / 300), place(event).x);
      },
      { passive: false },
    );
    canvas.addEventListener("keydown", (event) => {
      const frame = this.#frame;
      if (!frame) return;
      const middle = (frame.left + frame.right) / 2;
      const step = (frame.right - frame.left) / 8;
      const act: Record<string, () => void> = {
        ArrowLeft: () => this.#pan(-step, frame),
        ArrowRight: () => this.#pan(step, frame),
        "+": () => this.#zoom(1 / 1.5, middle),
        "=": () => this.#zoom(1 / 1.5, middle),
        "-": () => this.#zoom(1.5, middle),
        "0": () => this.options.onView(undefined, undefined),
      };
      if (act[event.key] === undefined) return;
      event.preventDefault();
      act[event.key]();
    });
  }

  #zoomTo(
    { fromX, fromY, frame }: { fromX: number; fromY: number; frame: Frame },
    to: { x: number; y: number },
  ) {
    if (Math.abs(to.x - fromX) < 5) return;
    const x = ordered(frame.x.toValue(fromX), frame.x.toValue(to.x));
    const isFlat = Math.abs(to.y - fromY) < FLAT_DRAG;
    this.options.onView(
      x,
      isFlat ? this.options.view().y : ordered(frame.y.toValue(fromY), frame.y.toValue(to.y)),
    );
  }

  #zoom(factor: number, around: number): void {
    const frame = this.#frame;
    if (!frame) return;
    const from = around - (around - frame.left) * factor;
    const to = around + (frame.right - around) * factor;
    this.options.onView(ordered(frame.x.toValue(from), frame.x.toValue(to)), this.options.view().y);
  }

  #pan(pixels: number, frame: Frame): void {
    const x = ordered(frame.x.toValue(frame.left + pixels), frame.x.toValue(frame.right + pixels));
    this.options.onView(x, this.options.view().y);
  }
}

function ordered(a: number, b: number): Range {
  return { least: Math.min(a, b), greatest: Math.max(a, b) };
}

/** Sizes a canvas to its pixels and clears it. */
export function prepare(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  const ratio = devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  const context = canvas.getContext("2d")!;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
