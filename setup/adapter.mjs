// Looks for a Vulkan adapter through Dawn, in a child process that may crash without harm.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const PROBE = fileURLToPath(new URL("./adapter-probe.mjs", import.meta.url));
const LIMIT_MS = 60_000;

/**
 * @returns {{ adapter: { name: string, kind: "gpu" | "software" } | null, failure: string | null }}
 *   `failure` is what Dawn, or the way in which the child ended, had to say where there is no adapter
 */
export function findAdapter() {
  const child = spawnSync(process.execPath, [PROBE], {
    encoding: "utf8",
    timeout: LIMIT_MS,
    killSignal: "SIGKILL",
  });
  return readProbe(child);
}

/** Reads the end of the probe: `{ status, signal, stdout, stderr, error }` as from spawnSync. */
export function readProbe({ status, signal, stdout = "", stderr = "", error }) {
  const line = stdout.split("\n").findLast((text) => text.startsWith("SLM_ADAPTER "));
  const adapter = line ? JSON.parse(line.slice("SLM_ADAPTER ".length)) : null;
  if (adapter) return { adapter, failure: null };
  if (error?.code === "ETIMEDOUT")
    return { adapter, failure: `the Vulkan driver did not answer within ${LIMIT_MS / 1000} s` };
  if (signal) return { adapter, failure: `the Vulkan driver crashed (${signal})` };
  const said = `${stderr}\n${stdout}`
    .split("\n")
    .map((text) => text.trim())
    .filter((text) => /^(Error|TypeError|Warning)\b/.test(text) && !text.includes("artificially reduced"));
  return {
    adapter,
    failure: said.at(0) ?? (status === 0 ? null : `the look for an adapter ended with status ${status}`),
  };
}
