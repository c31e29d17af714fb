/** Gives files to the person: the host asks where to where it can, else the browser downloads. */
import { toBase64 } from "../shared/series.js";
import { element } from "./elements.js";
import type { Requests } from "./transport.js";

export async function saveText(
  requests: Requests,
  hostSaves: boolean,
  name: string,
  mime: string,
  text: string,
): Promise<void> {
  await saveBytes(requests, hostSaves, name, mime, new TextEncoder().encode(text));
}

export async function saveBytes(
  requests: Requests,
  hostSaves: boolean,
  name: string,
  mime: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  if (hostSaves) {
    await requests.ask("save file", { name, mime, content: toBase64(bytes) });
    return;
  }
  const address = URL.createObjectURL(new Blob([bytes], { type: mime }));
  element("a", { href: address, download: name }).click();
  /* the download has begun by then */
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** An SVG as a PNG of twice its size. */
export async function rasterize(svg: string): Promise<Uint8Array<ArrayBuffer>> {
  const image = new Image();
  const bytes = new TextEncoder().encode(svg);
  image.src = `data:image/svg+xml;base64,${toBase64(bytes)}`;
  await image.decode();
  const canvas = element("canvas", { width: image.naturalWidth * 2, height: image.naturalHeight * 2 });
  canvas.getContext("2d")!.drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/png"));
  if (blob === null) throw new Error("The picture could not be made. Export SVG instead.");
  return new Uint8Array(await blob.arrayBuffer());
}

/** CSV of RFC 4180. */
export function toCsv(rows: readonly (readonly (string | number)[])[]): string {
  const cell = (value: string | number) => {
    const text = typeof value === "number" && !Number.isFinite(value) ? "" : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}
