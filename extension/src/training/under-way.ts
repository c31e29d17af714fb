/** What was last seen under way in a workspace, kept from window to window: an end that none saw is told by the next. */
import { existsSync } from "node:fs";
import type * as vscode from "vscode";

export class UnderWay {
  readonly #folders: Set<string>;

  /** @param key under which the workspace's state keeps the folders of what is under way */
  constructor(
    private readonly state: vscode.Memento,
    private readonly key: string,
  ) {
    this.#folders = new Set(state.get<string[]>(key, []).filter((folder) => existsSync(folder)));
  }

  /** Takes whether the run or job of a folder is under way now; whether it was when it was last seen. */
  note(folder: string, isUnderWay: boolean): boolean {
    const was = this.#folders.has(folder);
    if (was === isUnderWay) return was;
    if (isUnderWay) this.#folders.add(folder);
    else this.#folders.delete(folder);
    void this.state.update(this.key, [...this.#folders]);
    return was;
  }
}
