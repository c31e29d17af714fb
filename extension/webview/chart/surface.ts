/** What a chart draws on: a canvas on screen, or SVG text for export; the same strokes give both. */
import { BarLayer } from "./bar-layer.js";

export interface Stroke {
  readonly color: string;
  readonly width: number;
  readonly dash?: readonly number[];
  readonly opacity?: number;
}

/** What a line covers of every column of device pixels, in pixels from the top; NaN where it does not pass. */
export interface Band {
  /** Column `i` reaches from pixel `(first + i) / density` to `(first + i + 1) / density`. */
  readonly first: number;
  readonly density: number;
  readonly tops: Float64Array;
  readonly bottoms: Float64Array;
}

export interface TextStyle {
  readonly color: string;
  readonly size: number;
  readonly font: string;
  readonly align?: "start" | "middle" | "end";
  readonly bold?: boolean;
}

export interface Surface {
  fill(x: number, y: number, width: number, height: number, color: string): void;
  /** Points x, y, x, y …; NaN breaks the line. */
  line(points: readonly number[], stroke: Stroke): void;
  /** A line with very many points. */
  band(band: Band, stroke: Stroke): void;
  text(text: string, x: number, y: number, style: TextStyle): void;
  /** Draws only within a rectangle until `unclip`. */
  clip(x: number, y: number, width: number, height: number): void;
  unclip(): void;
}

export class CanvasSurface implements Surface {
  #bars: BarLayer | undefined;
  #clip = { x: 0, y: 0, width: 0, height: 0 };

  /** @param density device pixels to a pixel of the context */
  constructor(
    private readonly context: CanvasRenderingContext2D,
    readonly _density: number,
  ) {}

  fill(x: number, y: number, width: number, height: number, color: string): void {
    this.context.fillStyle = color;
    this.context.fillRect(x, y, width, height);
  }

  band({ first, density, tops, bottoms }: Band, { color, width, dash = [], opacity = 1 }: Stroke): void {
    const { x, y, width: wide, height } = this.#clip;
    this.#bars ??= new BarLayer(x * density, y * density, wide * density, height * density);
    const period = dash.reduce((sum, length) => sum + length, 0);
    const ink = this.#bars.ink(color, opacity);
    for (let at = 0; at < tops.length; at++) {
      if (Number.isNaN(tops[at])) continue;
      if (period > 0 && !isInDash(((first + at) / density) % period, dash)) continue;
      const [top, bottom] = [tops[at] - width / 2, bottoms[at] + width / 2];
      this.#bars.draw(ink, first + at, top * density, bottom * density);
    }
  }

  line(points: readonly number[], { color, width, dash = [], opacity = 1 }: Stroke): void {
    const { context } = this;
    this.#putBars();
    context.globalAlpha = opacity;
    context.strokeStyle = color;
    context.lineWidth = width;
    context.lineJoin = "round";
    context.setLineDash(dash as number[]);
    context.beginPath();
    let isDown = false;
    for (let at = 0; at < points.length; at += 2) {
      const y = points[at + 1];
      if (Number.isNaN(y)) isDown = false;
      else if (isDown) context.lineTo(points[at], y);
      else {
        context.moveTo(points[at], y);
        isDown = true;
      }
    }
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
  }

  text(text: string, x: number, y: number, { color, size, font, align = "start", bold }: TextStyle): void {
    const { context } = this;
    context.fillStyle = color;
    context.font = `${bold ? "600 " : ""}${size}px ${font}`;
    context.textAlign = align === "middle" ? "center" : align;
    context.textBaseline = "middle";
    context.fillText(text, x, y);
  }

  clip(x: number, y: number, width: number, height: number): void {
    this.context.save();
    this.context.beginPath();
    this.context.rect(x, y, width, height);
    this.context.clip();
    this.#clip = { x, y, width, height };
  }

  unclip(): void {
    this.#putBars();
    this.context.restore();
  }

  #putBars(): void {
    this.#bars?.drawOnto(this.context);
    this.#bars = undefined;
  }
}

/** Whether a place in a pattern of dashes and gaps lies on a dash. */
function isInDash(place: number, dash: readonly number[]): boolean {
  let end = 0;
  for (const [at, length] of dash.entries()) {
    end += length;
    if (place < end) return at % 2 === 0;
  }
  return true;
}

export class SvgSurface implements Surface {
  readonly #parts: string[] = [];
  #clips = 0;

  constructor(
    readonly width: number,
    readonly height: number,
  ) {}

  fill(x: number, y: number, width: number, height: number, color: string): void {
    this.#parts.push(`<rect ${attributes({ x, y, width, height, fill: color })}/>`);
  }

  band({ first, density, tops, bottoms }: Band, stroke: Stroke): void {
    const points: number[] = [];
    for (let at = 0; at < tops.length; at++) {
      const x = (first + at + 0.5) / density;
      /* down one column and up the next, so that the line does not cross each column twice */
      const ends = at % 2 === 0 ? [tops[at], bottoms[at]] : [bottoms[at], tops[at]];
      points.push(x, ends[0], x, ends[1]);
    }
    this.line(points, stroke);
  }

  line(points: readonly number[], { color, width, dash = [], opacity = 1 }: Stroke): void {
    let path = "";
    let isDown = false;
    for (let at = 0; at < points.length; at += 2) {
      const y = points[at + 1];
      if (Number.isNaN(y)) isDown = false;
      else {
        path += `${isDown ? "L" : "M"}${round(points[at])} ${round(y)}`;
        isDown = true;
      }
    }
    const style = { fill: "none", stroke: color, "stroke-width": width, "stroke-linejoin": "round" };
    const dashes = dash.length > 0 ? { "stroke-dasharray": dash.join(" ") } : {};
    const faint = opacity < 1 ? { "stroke-opacity": opacity } : {};
    this.#parts.push(`<path ${attributes({ d: path, ...style, ...dashes, ...faint })}/>`);
  }

  text(text: string, x: number, y: number, { color, size, font, align = "start", bold }: TextStyle): void {
    const style = { x, y, fill: color, "font-size": size, "font-family": font, "text-anchor": align };
    const weight = bold ? { "font-weight": 600 } : {};
    const content = escapeXml(text);
    this.#parts.push(
      `<text ${attributes({ ...style, ...weight, "dominant-baseline": "central" })}>${content}</text>`,
    );
  }

  clip(x: number, y: number, width: number, height: number): void {
    const id = `clip${++this.#clips}`;
    const rectangle = `<rect ${attributes({ x, y, width, height })}/>`;
    this.#parts.push(`<clipPath id="${id}">${rectangle}</clipPath><g clip-path="url(#${id})">`);
  }

  unclip(): void {
    this.#parts.push("</g>");
  }

  toString(): string {
    const { width, height } = this;
    const size = attributes({ width, height, viewBox: `0 0 ${width} ${height}` });
    return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>${this.#parts.join("")}</svg>`;
  }
}

function attributes(values: Readonly<Record<string, string | number | undefined>>): string {
  return Object.entries(values)
    .filter((entry): entry is [string, string | number] => entry[1] !== undefined)
    .map(([name, value]) => `${name}="${typeof value === "number" ? round(value) : escapeXml(value)}"`)
    .join(" ");
}

function round(value: number): string {
  return String(Math.round(value * 100) / 100);
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
