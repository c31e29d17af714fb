/**
 * The map of documents: every point is written into the picture's pixels by hand, which draws 100,000 of them in a few
 * milliseconds without a graphics card. Dragging pans, the wheel zooms, a click takes a document.
 */
import { clusterColor } from "../../shared/palette.js";
import { rangeOf } from "../../shared/scale.js";
import { prepare } from "../chart/line-chart.js";
import { element, everyFrame } from "../elements.js";
import { theme } from "../theme.js";

export interface MapData {
  /** x, y of each unit. */
  readonly places: Float32Array;
  readonly assignments: Uint32Array;
  /** A word for each cluster; empty for none. */
  readonly labels: readonly string[];
}

export interface MapOptions {
  onUnit(unit: number): void;
  /** Whether a cluster is in full colour. */
  isLit(cluster: number): boolean;
  describe(unit: number): string;
  /** The person moved the map; null after it was made to fit. */
  onCamera(camera: Camera | null): void;
}

/** What part of the map is shown. */
export interface Camera {
  readonly x: number;
  readonly y: number;
  /** Pixels for a unit of length. */
  readonly scale: number;
}

const MOST_LABELS = 40;
const CLICK_PIXELS = 12;

export class DocumentMap {
  readonly element: HTMLElement;
  readonly #canvas = element("canvas", {
    tabIndex: 0,
    attributes: { role: "img", "aria-label": "Map of documents" },
  });
  readonly #tooltip = element("div", { className: "tooltip", hidden: true });
  readonly invalidate = everyFrame(() => this.#draw());
  #data: MapData | undefined;
  #camera: Camera | undefined;
  #centres: { cluster: number; x: number; y: number; size: number }[] = [];
  #marked: number | undefined;
  #dragFrom: { x: number; y: number; camera: Camera } | undefined;
  /** Milliseconds that the last picture took: for measurements. */
  lastDraw = 0;

  constructor(private readonly options: MapOptions) {
    this.element = element("div", { className: "map" }, this.#canvas, this.#tooltip);
    new ResizeObserver(() => this.invalidate()).observe(this.element);
    this.#listen();
  }

  /** Shows documents, all of them unless a camera says which part. */
  show(data: MapData, description: string, camera?: Camera): void {
    this.#data = data;
    this.#camera = camera;
    this.#marked = undefined;
    this.#centres = centresOf(data);
    this.#canvas.setAttribute("aria-label", description);
    this.invalidate();
  }

  /** Rings a document. */
  mark(unit: number | undefined): void {
    this.#marked = unit;
    this.invalidate();
  }

  reset(): void {
    this.#camera = undefined;
    this.options.onCamera(null);
    this.invalidate();
  }

  zoomBy(factor: number): void {
    const { width, height } = this.#size();
    this.#zoom(factor, width / 2, height / 2);
  }

  #size() {
    return {
      width: Math.max(100, this.element.clientWidth),
      height: Math.max(100, this.element.clientHeight),
    };
  }

  #fit(): Camera {
    const { width, height } = this.#size();
    const places = this.#data?.places ?? new Float32Array();
    const axis = (offset: number) => {
      const values = places.filter((_, at) => at % 2 === offset);
      return rangeOf(values) ?? { least: -1, greatest: 1 };
    };
    const [x, y] = [axis(0), axis(1)];
    const room = (range: { least: number; greatest: number }) => range.greatest - range.least || 1;
    return {
      x: (x.least + x.greatest) / 2,
      y: (y.least + y.greatest) / 2,
      scale: 0.92 * Math.min(width / room(x), height / room(y)),
    };
  }

  #draw(): void {
    const begin = performance.now();
    const data = this.#data;
    if (data === undefined) return;
    this.#camera ??= this.#fit();
    const { width, height } = this.#size();
    const context = prepare(this.#canvas, width, height);
    const ratio = this.#canvas.width / width;
    this.#drawPoints(context, data, this.#camera, ratio);
    this.#drawLabels(context, data, this.#camera);
    this.#drawMark(context, data, this.#camera);
    this.lastDraw = performance.now() - begin;
  }

  #drawPoints(context: CanvasRenderingContext2D, data: MapData, camera: Camera, ratio: number): void {
    const { width, height } = this.#canvas;
    const picture = context.createImageData(width, height);
    const pixels = new Uint32Array(picture.data.buffer);
    const { isDark } = theme();
    const colors = Uint32Array.from(data.labels, (_, cluster) => {
      const [red, green, blue] = clusterColor(cluster, isDark);
      const alpha = this.options.isLit(cluster) ? 230 : 64;
      return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
    });
    const lit = Uint8Array.from(data.labels, (_, cluster) => Number(this.options.isLit(cluster)));
    const size = Math.round(
      Math.max(2, Math.min(6, 2 + Math.log2(1 + 4000 / data.assignments.length))) * ratio,
    );
    const scale = camera.scale * ratio;
    const left = width / 2 - camera.x * scale - size / 2;
    const top = height / 2 + camera.y * scale - size / 2;
    /* faint ones first, so that they do not cover the others */
    for (const pass of [0, 1]) {
      for (let unit = 0; unit < data.assignments.length; unit++) {
        const cluster = data.assignments[unit];
        if (lit[cluster] !== pass) continue;
        const x = Math.round(left + data.places[unit * 2] * scale);
        const y = Math.round(top - data.places[unit * 2 + 1] * scale);
        if (x < 0 || y < 0 || x + size >= width || y + size >= height) continue;
        const color = colors[cluster];
        for (let row = 0; row < size; row++) {
          const start = (y + row) * width + x;
          pixels.fill(color, start, start + size);
        }
      }
    }
    context.putImageData(picture, 0, 0);
  }

  #drawLabels(context: CanvasRenderingContext2D, data: MapData, camera: Camera): void {
    const { width, height } = this.#size();
    const { foreground, background, font } = theme();
    context.font = `600 12px ${font}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    const taken: [number, number, number][] = [];
    for (const { cluster, x, y } of this.#centres) {
      if (taken.length === MOST_LABELS) break;
      const text = data.labels[cluster];
      if (text === "" || !this.options.isLit(cluster)) continue;
      const px = width / 2 + (x - camera.x) * camera.scale;
      /* beside its documents, which would be hidden where they lie close together */
      const own = height / 2 - (y - camera.y) * camera.scale;
      const py = own - 16 < 12 ? own + 16 : own - 16;
      const half = context.measureText(text).width / 2 + 6;
      if (px < half || px > width - half || py < 10 || py > height - 10) continue;
      if (taken.some(([ox, oy, other]) => Math.abs(ox - px) < half + other && Math.abs(oy - py) < 18))
        continue;
      taken.push([px, py, half]);
      context.strokeStyle = background;
      context.lineWidth = 4;
      context.strokeText(text, px, py);
      context.fillStyle = foreground;
      context.fillText(text, px, py);
    }
  }

  #drawMark(context: CanvasRenderingContext2D, data: MapData, camera: Camera): void {
    if (this.#marked === undefined) return;
    const { width, height } = this.#size();
    const { foreground, background } = theme();
    const x = width / 2 + (data.places[this.#marked * 2] - camera.x) * camera.scale;
    const y = height / 2 - (data.places[this.#marked * 2 + 1] - camera.y) * camera.scale;
    for (const [color, thickness] of [
      [background, 5],
      [foreground, 2],
    ] as const) {
      context.strokeStyle = color;
      context.lineWidth = thickness;
      context.beginPath();
      context.arc(x, y, 9, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  /** The document nearest to a place on screen, if any is near. */
  #unitAt(x: number, y: number): number | undefined {
    const { width, height } = this.#size();
    if (!this.#data || !this.#camera) return undefined;
    const { places, assignments } = this.#data;
    const { scale } = this.#camera;
    const wantedX = this.#camera.x + (x - width / 2) / scale;
    const wantedY = this.#camera.y - (y - height / 2) / scale;
    let nearest = -1;
    let distance = (CLICK_PIXELS / scale) ** 2;
    for (let unit = 0; unit < assignments.length; unit++) {
      const away = (places[unit * 2] - wantedX) ** 2 + (places[unit * 2 + 1] - wantedY) ** 2;
      if (away >= distance || !this.options.isLit(assignments[unit])) continue;
      nearest = unit;
      distance = away;
    }
    return nearest < 0 ? undefined : nearest;
  }

  #zoom(factor: number, x: number, y: number): void {
    if (!this.#camera) return;
    const { width, height } = this.#size();
    const scale = this.#camera.scale * factor;
    const change = 1 / this.#camera.scale - 1 / scale;
    this.#move({
      scale,
      x: this.#camera.x + (x - width / 2) * change,
      y: this.#camera.y - (y - height / 2) * change,
    });
  }

  #pan(camera: Camera, x: number, y: number): void {
    this.#move({ ...camera, x: camera.x - x / camera.scale, y: camera.y + y / camera.scale });
  }

  #move(camera: Camera): void {
    this.#camera = camera;
    this.options.onCamera(camera);
    this.invalidate();
  }

  #listen(): void {
    const canvas = this.#canvas;
    const place = (event: MouseEvent) => {
      const { left, top } = canvas.getBoundingClientRect();
      return { x: event.clientX - left, y: event.clientY - top };
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.#camera) return;
      canvas.setPointerCapture(event.pointerId);
      this.#dragFrom = { ...place(event), camera: this.#camera };
    });
    canvas.addEventListener("pointermove", (event) => {
      const { x, y } = place(event);
      if (this.#dragFrom) this.#pan(this.#dragFrom.camera, x - this.#dragFrom.x, y - this.#dragFrom.y);
      else this.#hover(x, y);
    });
    canvas.addEventListener("pointerleave", () => {
      this.#tooltip.hidden = true;
    });
    canvas.addEventListener("pointerup", (event) => {
      const from = this.#dragFrom;
      this.#dragFrom = undefined;
      const { x, y } = place(event);
      if (from && Math.hypot(x - from.x, y - from.y) < 4) {
        const unit = this.#unitAt(x, y);
        if (unit !== undefined) this.options.onUnit(unit);
      }
    });
    canvas.addEventListener("pointercancel", () => {
      this.#dragFrom = undefined;
    });
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const { x, y } = place(event);
        this.#zoom(2 ** (-event.deltaY / 240), x, y);
      },
      { passive: false },
    );
    canvas.addEventListener("keydown", (event) => {
      const camera = this.#camera;
      if (!camera) return;
      const act: Record<string, () => void> = {
        ArrowLeft: () => this.#pan(camera, 60, 0),
        ArrowRight: () => this.#pan(camera, -60, 0),
        ArrowUp: () => this.#pan(camera, 0, 60),
        ArrowDown: () => this.#pan(camera, 0, -60),
        "+": () => this.zoomBy(1.5),
        "=": () => this.zoomBy(1.5),
        "-": () => this.zoomBy(1 / 1.5),
        "0": () => this.reset(),
      };
      if (act[event.key] === undefined) return;
      event.preventDefault();
      act[event.key]();
    });
  }

  #hover(x: number, y: number): void {
    const unit = this.#unitAt(x, y);
    this.#tooltip.hidden = unit === undefined;
    this.#canvas.classList.toggle("over-document", unit !== undefined);
    if (unit === undefined) return;
    this.#tooltip.textContent = this.options.describe(unit);
    const isRight = x > this.#size().width / 2;
    this.#tooltip.style.left = isRight ? "" : `${x + 14}px`;
    this.#tooltip.style.right = isRight ? `${this.#size().width - x + 14}px` : "";
    this.#tooltip.style.top = `${y + 12}px`;
  }
}

/** Means of the clusters' places, the largest cluster first. */
function centresOf({ places, assignments, labels }: MapData) {
  const centres = labels.map((_, cluster) => ({ cluster, x: 0, y: 0, size: 0 }));
  for (let unit = 0; unit < assignments.length; unit++) {
    const centre = centres[assignments[unit]];
    if (centre === undefined) continue;
    centre.x += places[unit * 2];
    centre.y += places[unit * 2 + 1];
    centre.size++;
  }
  return centres
    .filter(({ size }) => size > 0)
    .map(({ cluster, x, y, size }) => ({ cluster, x: x / size, y: y / size, size }))
    .sort((a, b) => b.size - a.size);
}
