/** The pages in editor tabs: one panel a page, restored after a reload, fed by the same sessions as `slm board`'s. */
import { randomBytes } from "node:crypto";
import * as vscode from "vscode";
import { PageSession } from "../../host-data/page-session.js";
import { PAGE_TITLES, pageHtml } from "../../shared/page-html.js";
import { isToHost, PAGES, type PageName, type SavedFile, type ToPage } from "../../shared/protocol.js";
import { CliError } from "../cli/cli-error.js";
import type { SlmCli } from "../cli/slm-cli.js";
import type { WorkspaceData } from "../data/workspace-data.js";
import type { RunStarter } from "../training/run-starter.js";
import { changeOpen } from "./change-open.js";
import { openSource } from "./open-source.js";

interface OpenPage {
  readonly panel: vscode.WebviewPanel;
  session: PageSession;
  isReady: boolean;
  /** What to show once the page is there. */
  wanted: readonly ToPage[];
}

export class PagePanels {
  readonly #open = new Map<PageName, OpenPage>();

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly cli: SlmCli,
    private readonly data: WorkspaceData,
    private readonly starter: RunStarter,
  ) {
    for (const page of PAGES)
      context.subscriptions.push(
        vscode.window.registerWebviewPanelSerializer(viewType(page), {
          deserializeWebviewPanel: async (panel) => {
            this.#take(page, panel);
          },
        }),
      );
    context.subscriptions.push(
      /* another store, or other abilities: begin anew, with the page's own state kept */
      data.onDidReplace(() => this.#reload()),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.#reload()),
    );
  }

  /** Brings a page to the front, opening it if need be, and tells it what to show. */
  show(page: PageName, ...wanted: readonly ToPage[]): void {
    let open = this.#open.get(page);
    if (open === undefined) {
      const panel = vscode.window.createWebviewPanel(
        viewType(page),
        titleOf(page),
        vscode.ViewColumn.Active,
        this.#options,
      );
      open = this.#take(page, panel);
    } else open.panel.reveal();
    open.wanted = wanted;
    if (open.isReady) this.#sendWanted(open);
  }

  get #options(): vscode.WebviewOptions {
    return {
      enableScripts: true,
      localResourceRoots: [vscode.Uri.joinPath(this.context.extensionUri, "pages")],
    };
  }

  #take(page: PageName, panel: vscode.WebviewPanel): OpenPage {
    const open: OpenPage = { panel, session: this.#session(panel), isReady: false, wanted: [] };
    this.#open.get(page)?.panel.dispose();
    this.#open.set(page, open);
    panel.webview.options = this.#options;
    panel.iconPath = vscode.Uri.joinPath(this.context.extensionUri, "media", "forge.svg");
    panel.webview.onDidReceiveMessage(async (message: unknown) => {
      if (!isToHost(message)) return;
      await open.session.receive(message);
      if (message.type !== "ready") return;
      open.isReady = true;
      this.#sendWanted(open);
    });
    panel.onDidChangeViewState(() => {
      /* a hidden page is gone; it comes back with its state and asks for everything again */
      if (panel.visible) return;
      open.isReady = false;
      open.session.close();
    });
    panel.onDidDispose(() => {
      open.session.close();
      if (this.#open.get(page) === open) this.#open.delete(page);
    });
    this.#load(page, panel);
    return open;
  }

  #sendWanted(open: OpenPage): void {
    for (const message of open.wanted) void open.panel.webview.postMessage(message);
    open.wanted = [];
  }

  #session(panel: vscode.WebviewPanel): PageSession {
    return new PageSession({
      store: this.data.store,
      slm: {
        run: async (args, cwd) => {
          const { code, stdout, stderr } = await this.cli.run(args, { cwd });
          if (code !== 0) throw new CliError(stderr.trim().replace(/^slm: /, ""));
          return stdout;
        },
        start: (args, folder) => this.starter.start(`slm ${args[0]}`, args, folder),
      },
      send: (message) => void panel.webview.postMessage(message),
      allowControl: vscode.workspace.isTrusted,
      refusal: "This folder is not trusted, so nothing in it is run or changed. Trust it first.",
      openSource,
      changeOpen,
      saveFile,
    });
  }

  #load(page: PageName, panel: vscode.WebviewPanel): void {
    const { webview } = panel;
    const file = (name: string) =>
      webview.asWebviewUri(vscode.Uri.joinPath(this.context.extensionUri, "pages", name)).toString();
    webview.html = pageHtml({
      page,
      nonce: randomBytes(16).toString("base64url"),
      script: file(`${page}.js`),
      style: file(`${page}.css`),
      connect: "",
      resources: webview.cspSource,
    });
  }

  #reload(): void {
    for (const [page, open] of this.#open) {
      open.session.close();
      open.session = this.#session(open.panel);
      open.isReady = false;
      this.#load(page, open.panel);
    }
  }
}

function viewType(page: PageName): string {
  return `slmForge.${page}`;
}

function titleOf(page: PageName): string {
  return page === "dashboard" ? "Training Runs" : PAGE_TITLES[page];
}

/** Asks where to; false when the person would rather not. */
async function saveFile({ name, content }: SavedFile): Promise<boolean> {
  const folder = vscode.workspace.workspaceFolders?.[0].uri;
  const place = await vscode.window.showSaveDialog({
    defaultUri: folder === undefined ? undefined : vscode.Uri.joinPath(folder, name),
  });
  if (place === undefined) return false;
  await vscode.workspace.fs.writeFile(place, Buffer.from(content, "base64"));
  return true;
}
