/** Work on documents that begins after a pause in typing, and that the next change stops. */
import type * as vscode from "vscode";

export class PausedWork implements vscode.Disposable {
  readonly #pending = new Map<string, { readonly timer: NodeJS.Timeout; readonly stop: AbortController }>();

  constructor(private readonly pauseMs: number) {}

  /** Begins after the pause, instead of what was going on with the document. */
  schedule(document: vscode.TextDocument, work: (signal: AbortSignal) => Promise<void>): void {
    this.cancel(document);
    const stop = new AbortController();
    const timer = setTimeout(() => void work(stop.signal), this.pauseMs);
    this.#pending.set(document.uri.toString(), { timer, stop });
  }

  cancel(document: vscode.TextDocument): void {
    const key = document.uri.toString();
    const last = this.#pending.get(key);
    clearTimeout(last?.timer);
    last?.stop.abort();
    this.#pending.delete(key);
  }

  dispose(): void {
    for (const { timer, stop } of this.#pending.values()) {
      clearTimeout(timer);
      stop.abort();
    }
  }
}
