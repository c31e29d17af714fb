/** The server of `slm board`: three pages, their bundles, and one WebSocket for each viewer. No other file is served. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { DataStore } from "../../extension/host-data/data-store.js";
import { PageSession } from "../../extension/host-data/page-session.js";
import { runnerOf, type SlmCommand } from "../../extension/host-data/slm-command.js";
import { contentSecurityPolicy, type PageHtmlOptions, pageHtml } from "../../extension/shared/page-html.js";
import { isToHost, PAGES, type PageName } from "../../extension/shared/protocol.js";
import { packageRoot } from "../version.js";
import { type Admission, admit, hostNames, newToken } from "./admission.js";

export interface BoardOptions {
  readonly folders: readonly string[];
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default: any free port. */
  readonly port?: number;
  readonly allowControl?: boolean;
  readonly slm: SlmCommand;
}

export interface Board {
  /** With the token. */
  readonly address: string;
  readonly port: number;
  close(): Promise<void>;
}

/** A page's messages are short; whatever is larger is none. */
const MOST_MESSAGE_BYTES = 16 * 2 ** 20;
const PING_MS = 30_000;

/** Starts serving. @throws Error naming what is missing or taken, and the remedy */
export async function startBoard(options: BoardOptions): Promise<Board> {
  const { host = "127.0.0.1", port = 0, folders } = options;
  const assets = loadAssets();
  const store = new DataStore(folders);
  const server = createServer();
  await new Promise<void>((done, fail) => {
    server.once("error", (error: NodeJS.ErrnoException) => fail(listenFailure(host, port, error)));
    server.listen(port, host, done);
  });
  const bound = (server.address() as AddressInfo).port;
  const admission: Admission = { token: newToken(), hosts: hostNames(host, bound) };
  server.on("request", (request, response) => answer(request, response, admission, assets));
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MOST_MESSAGE_BYTES });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    /* a caller may reset it at any moment, and an error that nobody listens for ends the process */
    socket.on("error", () => socket.destroy());
    const address = admit(request, admission);
    if (typeof address === "string" || address.pathname !== "/live" || request.headers.origin === undefined) {
      socket.end("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n");
      return;
    }
    sockets.handleUpgrade(request, socket, head, (viewer) => sockets.emit("connection", viewer));
  });
  sockets.on("connection", (viewer) => {
    const session = new PageSession({
      store,
      slm: runnerOf(options.slm),
      allowControl: options.allowControl ?? false,
      refusal: "This board only shows. Start it with slm board --allow-control to change anything.",
      send: (message) => viewer.readyState === viewer.OPEN && viewer.send(JSON.stringify(message)),
    });
    const ping = setInterval(() => viewer.ping(), PING_MS);
    viewer.on("message", (data) => {
      const message = parse(String(data));
      if (isToHost(message)) void session.receive(message);
    });
    viewer.on("error", () => viewer.terminate());
    viewer.on("close", () => {
      clearInterval(ping);
      session.close();
    });
  });
  await store.start();
  const name = host.includes(":") ? `[${host}]` : host;
  return {
    address: `http://${name}:${bound}/dashboard?token=${admission.token}`,
    port: bound,
    close: async () => {
      store.close();
      for (const viewer of sockets.clients) viewer.terminate();
      sockets.close();
      server.closeAllConnections();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
}

type Assets = ReadonlyMap<string, { readonly type: string; readonly content: Buffer }>;

/** The bundles, read once: their names alone can be asked for, so no path leads anywhere else. */
function loadAssets(): Assets {
  const folder = join(packageRoot(), "dist", "pages");
  const types = { js: "text/javascript", css: "text/css" };
  const files = PAGES.flatMap((page) => Object.entries(types).map(([end, type]) => [`${page}.${end}`, type]));
  try {
    return new Map(
      files.map(([name, type]) => [`/pages/${name}`, { type, content: readFileSync(join(folder, name)) }]),
    );
  } catch {
    throw new Error(`${folder}: the pages are not built. Run npm run build:pages in ${packageRoot()}.`);
  }
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  admission: Admission,
  assets: Assets,
): void {
  response.setHeader("Cache-Control", "no-store");
  response.setHeader("Referrer-Policy", "no-referrer");
  response.setHeader("X-Content-Type-Options", "nosniff");
  response.setHeader("X-Frame-Options", "DENY");
  response.setHeader("Cross-Origin-Resource-Policy", "same-origin");
  const address = admit(request, admission);
  if (typeof address === "string") {
    say(response, 403, address);
    return;
  }
  if (request.method !== "GET") {
    say(response, 405, "The board only answers GET.");
    return;
  }
  const asset = assets.get(address.pathname);
  if (asset) {
    response.writeHead(200, { "Content-Type": `${asset.type}; charset=utf-8` }).end(asset.content);
    return;
  }
  const page = (address.pathname === "/" ? "dashboard" : address.pathname.slice(1)) as PageName;
  if (!PAGES.includes(page)) {
    say(response, 404, "There is no such page.");
    return;
  }
  const withToken = (path: string) => `${path}?token=${admission.token}`;
  const html: PageHtmlOptions = {
    page,
    nonce: randomBytes(16).toString("base64url"),
    script: withToken(`/pages/${page}.js`),
    style: withToken(`/pages/${page}.css`),
    connect: "'self'",
    resources: "",
    links: {
      dashboard: withToken("/dashboard"),
      clusters: withToken("/clusters"),
      comparison: withToken("/comparison"),
    },
  };
  response
    .writeHead(200, {
      "Content-Type": "text/html; charset=utf-8",
      "Content-Security-Policy": `${contentSecurityPolicy(html)}; frame-ancestors 'none'`,
    })
    .end(pageHtml(html));
}

function say(response: ServerResponse, code: number, text: string): void {
  response.writeHead(code, { "Content-Type": "text/plain; charset=utf-8" }).end(`${text}\n`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function listenFailure(host: string, port: number, error: NodeJS.ErrnoException): Error {
  const reason: Record<string, string> = {
    EADDRINUSE: `port ${port} is taken. Give another with --port, or none for a free one.`,
    EACCES: `port ${port} may not be opened. Give one from 1024 on with --port.`,
    EADDRNOTAVAIL: "this machine has no such address. Give one of its own with --host, or none.",
    ENOTFOUND: "there is no such host. Give an address of this machine with --host, or none.",
  };
  return new Error(`--host ${host}: ${reason[error.code ?? ""] ?? error.message}`, { cause: error });
}
