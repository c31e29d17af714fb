/** What a chart draws on: a canvas on screen, or SVG text for export; the same strokes give both. */

export interface Stroke {
  readonly color: string;
  readonly width: number;
  readonly dash?: readonly number[];
  readonly opacity?: number;
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
  text(text: string, x: number, y: number, style: TextStyle): void;
  /** Draws only within a rectangle until `unclip`. */
  clip(x: number, y: number, width: number, height: number): void;
  unclip(): void;
}

export class CanvasSurface implements Surface {
  constructor(private readonly context: CanvasRenderingContext2D) {}

  fill(x: number, y: number, width: number, height: number, color: string): void {
    this.context.fillStyle = color;
    this.context.fillRect(x, y, width, height);
  }

  line(points: readonly number[], stroke: Stroke): void {
    if (points.length > DENSE_POINTS * 2) this.#bars(points, stroke);
    else this.#path(points, stroke);
  }

  /**
   * A line of several points to every column of pixels, as one bar a column: without a graphics card a stroke of so
   * many corners takes a hundred times as long, and looks the same.
   */
  #bars(points: readonly number[], { color, width, dash = [], opacity = 1 }: Stroke): void {
    const { context } = this;
    const period = dash.reduce((sum, length) => sum + length, 0);
    context.globalAlpha = opacity;
    context.fillStyle = color;
    let last = Number.NaN;
    for (let at = 0; at < points.length; ) {
      const column = Math.floor(points[at]);
      let [low, high] = [last, last];
      for (; at < points.length && Math.floor(points[at]) === column; at += 2) {
        last = points[at + 1];
        if (Number.isNaN(last)) continue;
        if (!(low <= last)) low = last;
        if (!(high >= last)) high = last;
      }
      if (Number.isNaN(low) || (period > 0 && !isInDash(column % period, dash))) continue;
      context.fillRect(column, low - width / 2, 1, high - low + width);
    }
    context.globalAlpha = 1;
  }

  #path(points: readonly number[], { color, width, dash = [], opacity = 1 }: Stroke): void {
    const { context } = this;
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
  }

  unclip(): void {
    this.context.restore();
  }
}

/** More points than this on one picture are several to a column of pixels. */
const DENSE_POINTS = 700;

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
