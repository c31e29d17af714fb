/**
 * Vertical bars, each one device pixel wide, written into memory and put on a canvas as one picture. A canvas that draws
 * on the processor takes twenty times as long for as many rectangles, and a hundred times for a line of as many corners.
 */

/** A colour as the parts of a pixel, 0 … 255, and what it covers, 0 … 1. */
interface Ink {
  readonly red: number;
  readonly green: number;
  readonly blue: number;
  readonly opacity: number;
}

/** One for all charts, because they are drawn one after the other and a picture is large. */
let canvas: HTMLCanvasElement | undefined;

export class BarLayer {
  readonly #left: number;
  readonly #top: number;
  readonly #image: ImageData;
  /** A pixel as one number: red in the lowest byte, as every machine that runs a browser stores it. */
  readonly #pixels: Uint32Array;

  /** A part of a canvas, in device pixels. */
  constructor(left: number, top: number, width: number, height: number) {
    this.#left = Math.floor(left);
    this.#top = Math.floor(top);
    this.#image = new ImageData(
      Math.max(1, Math.ceil(left + width) - this.#left),
      Math.max(1, Math.ceil(top + height) - this.#top),
    );
    this.#pixels = new Uint32Array(this.#image.data.buffer);
  }

  /** @param color as the stylesheet writes it */
  ink(color: string, opacity: number): Ink {
    const [red, green, blue, alpha] = channelsOf(color);
    return { red, green, blue, opacity: opacity * alpha };
  }

  /** A bar in a column from `top` to `bottom`; what it covers of a pixel in part colours it in part. */
  draw(ink: Ink, column: number, top: number, bottom: number): void {
    const { width, height } = this.#image;
    const x = column - this.#left;
    if (x < 0 || x >= width) return;
    const [from, to] = [Math.max(0, top - this.#top), Math.min(height, bottom - this.#top)];
    const full = ((255 << 24) | (ink.blue << 16) | (ink.green << 8) | ink.red) >>> 0;
    for (let y = Math.floor(from); y < to; y++) {
      const covered = (Math.min(to, y + 1) - Math.max(from, y)) * ink.opacity;
      const at = y * width + x;
      if (covered > 0.996) this.#pixels[at] = full;
      else this.#blend(at, ink, covered);
    }
  }

  /** Lays a colour over a pixel (Porter & Duff's "over"). */
  #blend(at: number, { red, green, blue }: Ink, opacity: number): void {
    const under = this.#pixels[at];
    const kept = ((under >>> 24) / 255) * (1 - opacity);
    const alpha = opacity + kept;
    if (alpha <= 0) return;
    const mix = (over: number, below: number) => Math.round((over * opacity + below * kept) / alpha);
    const [r, g, b] = [mix(red, under & 255), mix(green, (under >> 8) & 255), mix(blue, (under >> 16) & 255)];
    this.#pixels[at] = ((Math.round(alpha * 255) << 24) | (b << 16) | (g << 8) | r) >>> 0;
  }

  drawOnto(context: CanvasRenderingContext2D): void {
    const { width, height } = this.#image;
    canvas ??= document.createElement("canvas");
    if (canvas.width < width || canvas.height < height) {
      canvas.width = Math.max(canvas.width, width);
      canvas.height = Math.max(canvas.height, height);
    }
    canvas.getContext("2d")!.putImageData(this.#image, 0, 0);
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(canvas, 0, 0, width, height, this.#left, this.#top, width, height);
    context.restore();
  }
}

const known = new Map<string, readonly [number, number, number, number]>();

/** Red, green and blue, 0 … 255, and alpha, 0 … 1: the browser knows every way to write a colour. */
function channelsOf(color: string): readonly [number, number, number, number] {
  let channels = known.get(color);
  if (channels === undefined) {
    const context = new OffscreenCanvas(1, 1).getContext("2d")!;
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
    channels = [red, green, blue, alpha / 255];
    known.set(color, channels);
  }
  return channels;
}
