// Child processes: their output goes to our stderr as it comes, and none outlives the set-up.

import { spawn } from "node:child_process";

/**
 * Runs a program to its end with its output on stderr.
 *
 * @param {string} program
 * @param {string[]} parameters
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, stdin?: "ignore" | "inherit", shell?: boolean }} [options]
 * @returns {Promise<number>} the exit status, 127 where there is no such program, 1 after a signal
 */
export function runCommand(program, parameters, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, parameters, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      shell: options.shell ?? false,
      stdio: [options.stdin ?? "ignore", process.stderr, process.stderr],
    });
    const stop = () => child.kill();
    process.once("exit", stop);
    child.once("error", (error) => {
      process.off("exit", stop);
      if (error.code === "ENOENT") resolve(127);
      else reject(error);
    });
    child.once("close", (status) => {
      process.off("exit", stop);
      resolve(status ?? 1);
    });
  });
}

/** A command as a person would type it, quoted for a POSIX shell. */
export function shellQuoted(words) {
  return words
    .map((word) => (/^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(" ");
}
