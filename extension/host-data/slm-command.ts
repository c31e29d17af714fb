/** Runs `slm` as a child process, for what a page asks its host to do. */
import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How `slm` is started here: a program and its first arguments, such as node and the path of slm.js. */
export interface SlmCommand {
  readonly program: string;
  readonly parameters: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/** What a host of pages does with `slm`. */
export interface SlmRunner {
  /** What a command printed. @throws Error with its message when it fails */
  run(parameters: readonly string[], folder?: string): Promise<string>;
  /** Starts a command that outlives the host. @throws Error with its message when it fails at once */
  start(parameters: readonly string[], folder: string): Promise<unknown>;
}

/** A host that always has the same `slm`. */
export function runnerOf(slm: SlmCommand): SlmRunner {
  return {
    run: (parameters, folder) => runSlm(slm, parameters, folder),
    start: (parameters, folder) => startDetached(slm, parameters, folder),
  };
}

export interface RunOptions {
  readonly cwd?: string;
  /** Text for its standard input, which is empty otherwise. */
  readonly input?: string;
  readonly signal?: AbortSignal;
}

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end, whatever its exit code. @throws Error when it cannot be started */
export function runToEnd(
  slm: SlmCommand,
  parameters: readonly string[],
  { cwd, input = "", signal }: RunOptions = {},
): Promise<Outcome> {
  return new Promise((done, fail) => {
    const child = spawn(slm.program, [...slm.parameters, ...parameters], {
      ...{ cwd, signal, env: slm.env, windowsHide: true },
      stdio: ["pipe", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.on("error", (error) => {
      /* an aborted command ends like any other, by its signal */
      if (error.name !== "AbortError") fail(error);
    });
    child.on("close", (code, ended) =>
      done({ code: code ?? SIGNAL_CODES[ended ?? ""] ?? 1, stdout, stderr }),
    );
    /* a command that does not read its input may have closed it already */
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });
}

const SIGNAL_CODES: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143, SIGKILL: 137 };

/** What a command printed. @throws Error with its message when it fails */
export async function runSlm(slm: SlmCommand, parameters: readonly string[], cwd?: string): Promise<string> {
  const { code, stdout, stderr } = await runToEnd(slm, parameters, { cwd });
  if (code === 0) return stdout;
  throw new Error(messageOf(stderr) || `slm ${parameters.join(" ")} ended with exit code ${code}.`);
}

export interface DetachedOptions {
  /** File to keep its messages in. */
  readonly log?: string;
  /** Told of a failure that came later, as long as this process lives; needs `log`. */
  onFailure?(message: string): void;
}

/**
 * Starts a command that outlives this process, and waits only so long as to hear that it failed at once. Its messages
 * go to a file and not through a pipe, whose end would end the command with it.
 *
 * @returns its process
 * @throws Error with its message when it fails at once
 */
export async function startDetached(
  slm: SlmCommand,
  parameters: readonly string[],
  folder: string,
  { log, onFailure }: DetachedOptions = {},
): Promise<number> {
  const place = log === undefined ? mkdtempSync(join(tmpdir(), "slm-start-")) : undefined;
  const messages = log ?? join(place as string, "messages.txt");
  const file = openSync(messages, "w");
  try {
    const child = spawn(slm.program, [...slm.parameters, ...parameters], {
      cwd: folder,
      env: slm.env,
      detached: true,
      stdio: ["ignore", "ignore", file],
      windowsHide: true,
    });
    const code = await new Promise<number | null>((done, fail) => {
      const settled = setTimeout(done, SETTLED_MS, 0);
      child.on("error", fail);
      child.on("close", (ended) => {
        clearTimeout(settled);
        done(ended);
      });
    });
    child.unref();
    const failure = (ended: number | null) =>
      messageOf(readFileSync(messages, "utf8")) ||
      `slm ${parameters.join(" ")} ${ended === null ? "was killed" : `ended with exit code ${ended}`}.`;
    if (code !== 0) throw new Error(failure(code));
    if (log !== undefined) child.once("close", (ended) => ended !== 0 && onFailure?.(failure(ended)));
    return child.pid as number;
  } finally {
    closeSync(file);
    /* the command goes on writing where this system keeps open files; elsewhere the file stays */
    try {
      if (place !== undefined) rmSync(place, { recursive: true });
    } catch {
      /* as above */
    }
  }
}

const SETTLED_MS = 2500;

/** The message without the program's name and remarks of the driver. */
export function messageOf(stderr: string): string {
  const at = stderr.lastIndexOf("slm: ");
  return (at < 0 ? stderr : stderr.slice(at + 5)).trim();
}
