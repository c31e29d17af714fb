/** Runs `slm` as a process, for the tests of its commands. */
import { spawn } from "node:child_process";
import { packageRoot, slmPath } from "../../cli/version.js";

export interface SlmOutcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SlmOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Called with everything printed on stdout so far; may send the process a signal. */
  onOutput?(stdout: string, kill: (signal: NodeJS.Signals) => void): void;
}

/** How long a command may take before it counts as one that does not end; it is no measure of speed. */
const GUARD_MS = 600_000;

export function slm(parameters: readonly string[], options: SlmOptions = {}): Promise<SlmOutcome> {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [slmPath(), ...parameters], {
      cwd: packageRoot(),
      env: { ...process.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    const guard = setTimeout(() => {
      child.kill("SIGKILL");
      fail(new Error(`slm ${parameters.join(" ")} did not end. It printed:\n${stdout}${stderr}`));
    }, GUARD_MS);
    child.stdout.on("data", (text) => {
      stdout += text;
      options.onOutput?.(stdout, (signal) => child.kill(signal));
    });
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    child.on("error", fail);
    child.on("close", (code, signal) => {
      clearTimeout(guard);
      done({ code, signal, stdout, stderr });
    });
  });
}
