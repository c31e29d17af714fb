/** The page's end of the conversation: VS Code's messages where there is VS Code, else a WebSocket of `slm board`. */
import type { JobReport } from "../shared/clusters.js";
import type { RequestKind, RequestKinds, ToHost, ToPage } from "../shared/protocol.js";

interface VsCodeApi {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
}

declare const acquireVsCodeApi: undefined | (() => VsCodeApi);

/** Whether the host can be heard. */
export type Connection = "connected" | "lost";

export interface Transport {
  send(message: ToHost): void;
  /** State of the page that survives a reload. */
  getState(): unknown;
  setState(state: unknown): void;
}

/** Connects to the host; `onOpen` is called at first and after every loss, and is where a page says `ready`. */
export function connect(listener: {
  onOpen(): void;
  onMessage(message: ToPage): void;
  onConnection(connection: Connection): void;
}): Transport {
  if (typeof acquireVsCodeApi === "function") {
    const api = acquireVsCodeApi();
    window.addEventListener("message", ({ data }: MessageEvent<ToPage>) => listener.onMessage(data));
    queueMicrotask(() => listener.onOpen());
    return {
      send: (message) => api.postMessage(message),
      getState: () => api.getState(),
      setState: (state) => api.setState(state),
    };
  }
  const report = document.getElementById("report");
  return report === null ? connectToBoard(listener) : connectToReport(listener, report);
}

/** Inside report.html there is no host: the report is in the document, and nothing else can be asked for. */
function connectToReport(listener: Parameters<typeof connect>[0], { textContent }: HTMLElement): Transport {
  const report = JSON.parse(textContent ?? "") as JobReport["report"];
  const abilities = { control: false, openSource: false, writeConfig: false, saveFile: false };
  queueMicrotask(() => {
    listener.onConnection("connected");
    listener.onMessage({ type: "hello", abilities, folders: [] });
    listener.onMessage({ type: "reports", reports: [{ id: report.name, report }] });
  });
  return { send: () => undefined, getState: () => null, setState: () => undefined };
}

const RETRY_MS = 1000;

function connectToBoard(listener: Parameters<typeof connect>[0]): Transport {
  let socket: WebSocket | undefined;
  const open = () => {
    const address = new URL(location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    address.pathname = "/live";
    const opened = new WebSocket(address);
    opened.addEventListener("open", () => {
      socket = opened;
      listener.onConnection("connected");
      listener.onOpen();
    });
    opened.addEventListener("message", ({ data }) =>
      listener.onMessage(JSON.parse(data as string) as ToPage),
    );
    opened.addEventListener("close", () => {
      socket = undefined;
      listener.onConnection("lost");
      setTimeout(open, RETRY_MS);
    });
  };
  open();
  const key = `slm ${location.pathname}`;
  return {
    /* what is lost while there is no connection is asked for again by onOpen */
    send: (message) => socket?.send(JSON.stringify(message)),
    getState: () => JSON.parse(sessionStorage.getItem(key) ?? "null") as unknown,
    setState: (state) => sessionStorage.setItem(key, JSON.stringify(state)),
  };
}

/** Requests with their answers, over a transport. */
export class Requests {
  readonly #waiting = new Map<number, { done(result: unknown): void; fail(error: Error): void }>();
  #last = 0;

  constructor(private readonly send: (message: ToHost) => void) {}

  ask<Kind extends RequestKind>(
    kind: Kind,
    details: RequestKinds[Kind]["ask"],
  ): Promise<RequestKinds[Kind]["answer"]> {
    const id = ++this.#last;
    return new Promise((done, fail) => {
      this.#waiting.set(id, { done: done as (result: unknown) => void, fail });
      this.send({ type: "request", id, request: { kind, ...details } } as ToHost);
    });
  }

  /** Takes a reply or failure; false for any other message. */
  take(message: ToPage): boolean {
    if (message.type !== "reply" && message.type !== "failure") return false;
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.type === "reply") waiting?.done(message.result);
    else waiting?.fail(new Error(message.message));
    return true;
  }

  /** Fails what was asked before the connection was lost: no answer will come. */
  abandon(): void {
    for (const { fail } of this.#waiting.values())
      fail(new Error("The connection to the host was lost. Try again."));
    this.#waiting.clear();
  }
}
