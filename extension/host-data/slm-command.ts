/** Runs `slm` as a child process, for what a page asks its host to do. */
import { spawn } from "node:child_process";

/** How `slm` is started here: a program and its first arguments, such as node and the path of main.js. */
export interface SlmCommand {
  readonly program: string;
  readonly parameters: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/** What a command printed. @throws Error with its message when it fails */
export function runSlm(
  slm: SlmCommand,
  parameters: readonly string[],
  folder = process.cwd(),
): Promise<string> {
  return new Promise((done, fail) => {
    const child = spawn(slm.program, [...slm.parameters, ...parameters], {
      cwd: folder,
      env: slm.env,
      stdio: ["ignore", "pipe", "pipe"],
      windowsHide: true,
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.on("error", fail);
    child.on("close", (code) => {
      if (code === 0) done(stdout);
      else fail(new Error(messageOf(stderr) || `slm ${parameters.join(" ")} ended with exit code ${code}.`));
    });
  });
}

/** Starts a command that outlives this process, and waits only so long as to hear that it failed at once. */
export function startDetached(slm: SlmCommand, parameters: readonly string[], folder: string): Promise<void> {
  return new Promise((done, fail) => {
    const child = spawn(slm.program, [...slm.parameters, ...parameters], {
      cwd: folder,
      env: slm.env,
      detached: true,
      stdio: ["ignore", "ignore", "pipe"],
      windowsHide: true,
    });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-4000);
    });
    const settled = setTimeout(() => {
      child.stderr.destroy();
      child.unref();
      done();
    }, SETTLED_MS);
    child.on("error", fail);
    child.on("close", (code) => {
      clearTimeout(settled);
      if (code === 0) done();
      else fail(new Error(messageOf(stderr) || `slm ${parameters.join(" ")} ended with exit code ${code}.`));
    });
  });
}

const SETTLED_MS = 2500;

/** The message without the program's name and remarks of the driver. */
function messageOf(stderr: string): string {
  const at = stderr.lastIndexOf("slm: ");
  return (at < 0 ? stderr : stderr.slice(at + 5)).trim();
}
