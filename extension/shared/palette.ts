/**
 * Colours and dashes of runs: those of Okabe & Ito (2008), told apart by all common kinds of colour blindness, darkened
 * or lightened for contrast of 3 : 1 on light and dark; the ninth run begins the colours again with another dash.
 */

const LIGHT = ["#0066a8", "#c04a00", "#00795a", "#a3478f", "#8a6500", "#2a8ac0", "#4d4d4d", "#d1216a"];
const DARK = ["#56b4e9", "#e69f00", "#2ec99a", "#e08bc4", "#f0e442", "#8fb8ff", "#c8c8c8", "#ff7b54"];
const DASHES: readonly (readonly number[])[] = [[], [7, 3], [2, 3], [9, 3, 2, 3]];

export function colorOf(slot: number, isDark: boolean): string {
  const colors = isDark ? DARK : LIGHT;
  return colors[slot % colors.length];
}

export function dashOf(slot: number): readonly number[] {
  return DASHES[Math.floor(slot / LIGHT.length) % DASHES.length];
}

/** A run keeps its slot as long as it is shown, whatever others come and go. */
export class Slots {
  readonly #slots = new Map<string, number>();

  constructor(entries: Iterable<readonly [string, number]> = []) {
    for (const [id, slot] of entries) this.#slots.set(id, slot);
  }

  /** The slot of an id: its own, or the lowest free one. */
  of(id: string): number {
    const own = this.#slots.get(id);
    if (own !== undefined) return own;
    const taken = new Set(this.#slots.values());
    let slot = 0;
    while (taken.has(slot)) slot++;
    this.#slots.set(id, slot);
    return slot;
  }

  release(id: string): void {
    this.#slots.delete(id);
  }

  entries(): [string, number][] {
    return [...this.#slots];
  }
}

/** Red, green and blue of many clusters: hues a golden angle apart, so that neighbours in number differ most. */
export function clusterColor(cluster: number, isDark: boolean): readonly [number, number, number] {
  const hue = (cluster * 137.508 + 210) % 360;
  const ring = Math.floor(cluster / 12) % 3;
  return hslToRgb(hue, isDark ? 0.7 : 0.66, (isDark ? 66 - ring * 9 : 40 + ring * 8) / 100);
}

export function cssColor([red, green, blue]: readonly [number, number, number]): string {
  return `rgb(${red} ${green} ${blue})`;
}

function hslToRgb(hue: number, saturation: number, lightness: number): [number, number, number] {
  const amplitude = saturation * Math.min(lightness, 1 - lightness);
  const channel = (offset: number) => {
    const k = (offset + hue / 30) % 12;
    return Math.round(255 * (lightness - amplitude * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}
