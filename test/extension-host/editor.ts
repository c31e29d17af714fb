/** A real VS Code with the packaged extension in it, driven in headless Chromium; a page object. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type Browser, chromium, type Frame, type Locator, type Page } from "playwright-core";
import { packageRoot } from "../../cli/version.js";

/** Where VS Code is; test/extension-host/run.mjs has installed it and passes it on. */
const { VSCODE_SERVER: server, VSCODE_NODE: node } = process.env;

/** Nothing that asks the network, greets, or moves by itself. */
const QUIET = {
  "chat.disableAIFeatures": true,
  "extensions.autoCheckUpdates": false,
  "extensions.autoUpdate": false,
  /* as on a desktop; in a browser VS Code saves by itself */
  "files.autoSave": "off",
  "git.enabled": false,
  "telemetry.telemetryLevel": "off",
  /* what a terminal shows is text of the page */
  "terminal.integrated.gpuAcceleration": "off",
  "update.showReleaseNotes": false,
  "workbench.colorTheme": "Default Dark Modern",
  "workbench.enableExperiments": false,
  "workbench.reduceMotion": "on",
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
};

/** How long anything may take before it counts as not coming; it is no measure of speed. */
const GUARD_MS = 60_000;

export interface EditorOptions {
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Whether folders are trusted without asking. Default true. */
  readonly trust?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** Whether tests in the extension host are to run: only then are they found, and notifications stay silent. */
  readonly integration?: boolean;
}

export class Editor {
  #page: Page | undefined;

  private constructor(
    private readonly process: ChildProcess,
    private readonly browser: Browser,
    private readonly data: string,
    private readonly port: number,
  ) {}

  /** Installs the VSIX into a fresh profile and starts the server. */
  static async start({
    settings,
    trust = true,
    env,
    integration = false,
  }: EditorOptions = {}): Promise<Editor> {
    if (server === undefined || node === undefined)
      throw new Error("VSCODE_SERVER and VSCODE_NODE are not set: run npm run test:extension.");
    const data = mkdtempSync(join(tmpdir(), "slm-editor-"));
    mkdirSync(join(data, "data", "User"), { recursive: true });
    const all = { ...QUIET, "security.workspace.trust.enabled": !trust, ...settings };
    writeFileSync(join(data, "data", "User", "settings.json"), JSON.stringify(all, undefined, 2));
    const folders = ["--server-data-dir", data, "--user-data-dir", join(data, "data")];
    const common = [server, "--accept-server-license-terms", ...folders];
    common.push("--extensions-dir", join(data, "extensions"));
    const vsix = join(packageRoot(), "dist", "slm-forge.vsix");
    await promisify(execFile)(node, [...common, "--install-extension", vsix]);
    const port = await freePort();
    const messages = openSync(join(data, "server.log"), "w");
    const child = spawn(
      node,
      [
        ...common,
        ...["--host", "127.0.0.1", "--port", String(port), "--without-connection-token"],
        ...["--telemetry-level", "off"],
        ...(integration ? ["--enable-smoke-test-driver"] : []),
        ...(trust ? ["--disable-workspace-trust"] : []),
      ],
      /* a group of its own, to be ended as a whole */
      { detached: true, stdio: ["ignore", messages, messages], env: { ...process.env, ...env } },
    );
    closeSync(messages);
    await untilServing(port, child, join(data, "server.log"));
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox"],
    });
    return new Editor(child, browser, data, port);
  }

  get page(): Page {
    if (this.#page === undefined) throw new Error("open a folder first");
    return this.#page;
  }

  /** Opens a folder in a window; `parameters` are the workbench's own. */
  async open(folder: string, parameters: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.newPage();
    await this.goto(folder, parameters);
    await this.page.locator(".monaco-workbench .part.activitybar").waitFor();
  }

  /** A window that has no folder yet. */
  async newPage(): Promise<Page> {
    const context = await this.browser.newContext({
      viewport: { width: 1400, height: 900 },
      reducedMotion: "reduce",
    });
    this.#page = await context.newPage();
    this.#page.setDefaultTimeout(GUARD_MS);
    return this.#page;
  }

  async goto(folder: string, parameters: Readonly<Record<string, string>> = {}): Promise<void> {
    const query = new URLSearchParams({ folder, ...parameters });
    await this.page.goto(`http://127.0.0.1:${this.port}/?${query}`);
  }

  /** The address under which the window's own protocol names a file. */
  remote(path: string): string {
    return `vscode-remote://127.0.0.1:${this.port}${path}`;
  }

  /** Loads the window anew; VS Code's own command saves which tabs were open, the browser's does not wait for it. */
  async reload(): Promise<void> {
    const loaded = this.page.waitForEvent("load");
    await this.command("Developer: Reload Window");
    await loaded;
    await this.page.locator(".monaco-workbench .part.activitybar").waitFor();
  }

  /** Runs a command of the palette by its title, such as "slm-forge: Show the Log". */
  async command(title: string): Promise<void> {
    await this.page.keyboard.press("F1");
    await this.page.locator(".quick-input-widget:visible input.input").fill(`>${title}`);
    await this.pick(title);
  }

  /** Chooses an entry of the list that is asked from. */
  async pick(text: string): Promise<void> {
    const rows = this.page.locator(".quick-input-widget:visible .quick-input-list .monaco-list-row");
    await rows.filter({ hasText: text }).first().click();
  }

  /** Opens a container of the activity bar unless it is open. */
  async container(name: string): Promise<void> {
    const tab = this.page.locator(
      `.part.activitybar .action-item:has(a.action-label[aria-label^="${name}"])`,
    );
    await tab.waitFor();
    const isOpen = async () => (await tab.getAttribute("aria-expanded")) === "true";
    /* a window that is still coming up may say that it is closed, open it by itself, and take a click as "close" */
    await eventually(`${name} is open`, async () => {
      if (!(await isOpen())) await tab.click();
      await sleep(1500);
      return (await isOpen()) || undefined;
    });
  }

  /** A view of the container that is open. */
  view(name: string): Locator {
    return this.page.locator(`.split-view-view:has(> .pane > .pane-header[aria-label^="${name}"])`);
  }

  rows(view: string): Locator {
    return this.view(view).locator(".monaco-list-row");
  }

  /** Presses a button that a row shows when it is pointed at. */
  async rowAction(view: string, row: string, action: string): Promise<void> {
    const found = this.rows(view).filter({ hasText: row }).first();
    await found.hover();
    await found.locator(`.actions a.action-label[aria-label^="${action}"]`).click();
  }

  /** Chooses from the menu of a row. */
  async rowMenu(row: Locator, action: string): Promise<void> {
    await row.click({ button: "right" });
    const item = this.page.locator(".monaco-menu .action-item", { hasText: action }).first();
    await item.waitFor();
    /* a menu that has just come up takes no click yet; one that came up while the window did may lack what it may do */
    const disabled = this.page.locator(".monaco-menu .action-item:is(.disabled, :has(.disabled))");
    await eventually(`menu ${action}`, async () => {
      if ((await disabled.filter({ hasText: action }).count()) > 0) {
        await this.page.keyboard.press("Escape");
        await row.click({ button: "right" });
      }
      await item.click({ timeout: 1000 }).catch(() => undefined);
      return (await item.isVisible()) ? undefined : true;
    });
  }

  toast(text: string | RegExp): Locator {
    return this.page.locator(".notification-toast", { hasText: text });
  }

  /** The webview that holds what the selector finds. */
  async webview(selector: string): Promise<Frame> {
    for (const end = Date.now() + GUARD_MS; Date.now() < end; await sleep(100))
      for (const frame of this.page.frames().filter((each) => each.url().includes("/fake.html")))
        if (
          (await frame
            .locator(selector)
            .count()
            .catch(() => 0)) > 0
        )
          return frame;
    throw new Error(`no webview holds ${selector}`);
  }

  /** Changes the colours of the window by the name that the list of themes gives them. */
  async theme(name: string): Promise<void> {
    await this.command("Preferences: Color Theme");
    const input = this.page.locator(".quick-input-widget:visible input.input");
    await this.page.locator(".quick-input-widget:visible", { hasText: "Dark Modern" }).waitFor();
    await input.fill(name);
    await this.pick(name);
  }

  screenshot(name: string): Promise<Buffer> {
    const images = join(packageRoot(), "docs", "images");
    mkdirSync(images, { recursive: true });
    return this.page.screenshot({ path: join(images, `${name}.png`) });
  }

  /** Keeps what is on screen when a test failed, beside the build. */
  async keepPicture({ name, passed }: { readonly name: string; readonly passed?: boolean }): Promise<void> {
    if (passed !== false || this.#page === undefined) return;
    const path = join(packageRoot(), "dist", "failures", `${name.replaceAll(/[^a-z0-9]+/gi, "-")}.png`);
    mkdirSync(dirname(path), { recursive: true });
    await this.#page.screenshot({ path });
    console.log(`${name}: picture in ${path}`);
  }

  /** What the server said, to see why something failed. */
  get messages(): string {
    return readFileSync(join(this.data, "server.log"), "utf8");
  }

  async close(): Promise<void> {
    await this.browser.close();
    try {
      process.kill(-(this.process.pid as number), "SIGKILL");
    } catch {
      /* it has ended already */
    }
    rmSync(this.data, { recursive: true, force: true, maxRetries: 10 });
  }
}

/** What `read` returns once it is not undefined. @throws Error naming what did not come */
export async function eventually<T>(what: string, read: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + GUARD_MS; Date.now() < end; await sleep(50)) {
    const value = await read();
    if (value !== undefined) return value;
  }
  throw new Error(`${what}: not within ${GUARD_MS / 1000} s`);
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer();
    probe.once("error", fail);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => done(port));
    });
  });
}

async function untilServing(port: number, child: ChildProcess, log: string): Promise<void> {
  for (const end = Date.now() + GUARD_MS; Date.now() < end; await sleep(100)) {
    if (child.exitCode !== null) break;
    const answered = await fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
    if (answered) return;
  }
  throw new Error(`VS Code does not serve on port ${port}:\n${readFileSync(log, "utf8")}`);
}
