/** Opens a document of a corpus in an editor, at its line. */
import { open } from "node:fs/promises";
import { basename } from "node:path";
import * as vscode from "vscode";
import type { SourcePlace } from "../../shared/protocol.js";

/** VS Code does not open larger text files for extensions. */
const MOST_BYTES = 50 * 2 ** 20;

/** @throws Error naming a file that no editor shows */
export async function openSource({ path, offset, line }: SourcePlace): Promise<void> {
  if (/\.(gz|zst|parquet|bin)$/.test(path))
    throw new Error(`${path}: is compressed or a table, which no text editor shows. Its text is shown here.`);
  const at = line ?? (offset === undefined ? 1 : await lineAt(path, offset));
  const place = new vscode.Range(at - 1, 0, at - 1, 0);
  await vscode.window.showTextDocument(vscode.Uri.file(path), {
    selection: place,
    preview: true,
    viewColumn: vscode.ViewColumn.Beside,
  });
}

/** The line, from 1, that holds a byte of a file. */
async function lineAt(path: string, offset: number): Promise<number> {
  const file = await open(path).catch(() => {
    throw new Error(`${path}: is not there any more.`);
  });
  try {
    if ((await file.stat()).size > MOST_BYTES)
      throw new Error(`${path}: is too large for the editor. The text of ${basename(path)} is shown here.`);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(offset), 0, offset, 0);
    let lines = 1;
    for (let at = buffer.indexOf(10); at >= 0 && at < bytesRead; at = buffer.indexOf(10, at + 1)) lines++;
    return lines;
  } finally {
    await file.close();
  }
}
