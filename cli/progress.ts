/** One line of progress that replaces itself on a terminal; plain lines now and then elsewhere. */

/** Lines that are not for a terminal come at least so far apart. */
const PLAIN_INTERVAL_MS = 5000;
const LIVE_INTERVAL_MS = 100;

/** A part of a line; one that can be spared is left out where the line would be too long, the highest number first. */
export type ProgressPart = string | { readonly text: string; readonly spare: number };

export class ProgressLine {
  #shown = "";
  #last = 0;

  constructor(private readonly stream: NodeJS.WriteStream = process.stderr) {}

  get live(): boolean {
    return this.stream.isTTY === true;
  }

  /** Shows a state of affairs, if it is time to. `last` is shown in any case. */
  show(text: string | readonly ProgressPart[], last = false): void {
    const now = performance.now();
    if (!last && now - this.#last < (this.live ? LIVE_INTERVAL_MS : PLAIN_INTERVAL_MS)) return;
    this.#last = now;
    const parts = typeof text === "string" ? [text] : text;
    if (!this.live) {
      this.stream.write(`${joined(parts)}\n`);
      return;
    }
    this.#shown = fitted(parts, Math.max(20, (this.stream.columns ?? 100) - 1));
    this.stream.write(`\r\u001b[2K${this.#shown}`);
  }

  /** Writes a line of its own, above the progress line. */
  print(text: string): void {
    if (this.live && this.#shown) this.stream.write("\r\u001b[2K");
    this.stream.write(`${text}\n`);
    if (this.live && this.#shown) this.stream.write(this.#shown);
  }

  /** Ends the line, so that what comes next begins on its own. */
  end(): void {
    if (this.live && this.#shown) this.stream.write("\n");
    this.#shown = "";
  }
}

function joined(parts: readonly ProgressPart[]): string {
  return parts.map((part) => (typeof part === "string" ? part : part.text)).join("  ");
}

function fitted(parts: readonly ProgressPart[], width: number): string {
  const left = [...parts];
  const spareOf = (part: ProgressPart) => (typeof part === "string" ? 0 : part.spare);
  for (;;) {
    const text = joined(left);
    if (text.length <= width) return text;
    const most = Math.max(...left.map(spareOf));
    if (most === 0) return `${text.slice(0, width - 1)}…`;
    left.splice(
      left.findIndex((part) => spareOf(part) === most),
      1,
    );
  }
}

/** 3725 → "1 h 2 min", 75 → "1 min 15 s". */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "unknown";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
