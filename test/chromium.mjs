// Chromium for the tests that drive pages and the editor: installed by apt-get where it is missing.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/** Path of a Chromium; CHROMIUM=/path/of/chromium names another than the system's. */
export function ensureChromium() {
  const path = process.env.CHROMIUM ?? "/usr/bin/chromium";
  if (existsSync(path)) return path;
  console.log("installing chromium by apt-get; CHROMIUM=/path/of/chromium uses another");
  for (const parameters of [
    ["update", "-qq"],
    ["install", "-y", "-qq", "--no-install-recommends", "chromium"],
  ]) {
    const { status, error } = spawnSync("apt-get", parameters, { stdio: "inherit" });
    if (error) throw error;
    if (status !== 0) throw new Error(`apt-get ${parameters[0]} ended with exit code ${status}.`);
  }
  return path;
}
