// Makes sure that Dawn finds an adapter: looks, decides (driver-plan.mjs), installs through apt, looks again.

import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";
import { findAdapter } from "./adapter.mjs";
import { aptCommands, privateSourcesOptions, readAptSources, sourcesWithBackports } from "./apt.mjs";
import { runCommand, shellQuoted } from "./command.mjs";
import { planDriver } from "./driver-plan.mjs";
import { SetupError, say } from "./report.mjs";

/**
 * Installs a software Vulkan driver where there is no GPU. Throws SetupError where training would not work.
 *
 * @param {string} root of slm-forge, whose dist/ is compiled
 * @param {boolean} allowSoftware go on with software although there is a GPU
 * @returns {Promise<string>} one line on what was found
 */
export async function ensureAdapter(root, allowSoftware) {
  const first = await decide(root, allowSoftware);
  if (first.plan.action === "ready") return first.plan.say;
  if (first.plan.action === "stop") throw new SetupError(explained(first));
  say(first.plan.say);
  await install(first.plan, first.findings);
  const second = await decide(root, allowSoftware);
  if (second.plan.action === "ready") return second.plan.say;
  throw new SetupError(second.plan.action === "stop" ? explained(second) : stillWithout(second));
}

/** Installing again would do the same: what is left is Dawn's complaint and the diagnosis. */
function stillWithout({ findings, failure }) {
  const rest = findings.problems.map(({ code, problem, remedy }) => {
    const newer = `add the suite ${findings.distribution.codename}-updates to this system's apt sources, which hold no newer one, and run the same command again`;
    return `${problem}\n  -> ${code === "old-lavapipe" ? newer : remedy}`;
  });
  return ["the driver is installed, and still Dawn finds no adapter.", failure, ...rest]
    .filter(Boolean)
    .join("\n");
}

function explained({ plan, failure }) {
  return failure ? `${plan.say}\nDawn said: ${failure}` : plan.say;
}

async function decide(root, allowSoftware) {
  if (process.platform !== "linux") return { plan: planDriver({ platform: process.platform, problems: [] }) };
  const { adapter, failure } = findAdapter();
  if (adapter?.kind === "gpu") return { plan: planDriver({ platform: "linux", adapter, problems: [] }) };
  const load = (name) => import(pathToFileURL(join(root, "dist", "engine", "gpu", name)).href);
  const [{ inspectHost, gpuSigns }, { diagnose }] = await Promise.all([
    load("host.js"),
    load("diagnosis.js"),
  ]);
  const facts = inspectHost();
  const findings = {
    platform: facts.platform,
    distribution: facts.distribution,
    adapter,
    signs: gpuSigns(facts),
    problems: diagnose(facts, adapter ? [adapter] : []),
    inContainer: facts.container !== null,
    allowSoftware,
    isRoot: process.getuid() === 0,
    sudo: adapter ? "none" : sudoMode(),
    interactive: process.stdin.isTTY === true && process.stderr.isTTY === true && !process.env.CI,
    hasApt: isOnPath("apt-get"),
    sources: readAptSources(),
  };
  return { plan: planDriver(findings), findings, failure };
}

function sudoMode() {
  if (!isOnPath("sudo")) return "none";
  return spawnSync("sudo", ["-n", "true"], { stdio: "ignore" }).status === 0 ? "free" : "password";
}

function isOnPath(program) {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, program)));
}

/** Carries out a plan whose action is "install". Throws SetupError when apt does not install. */
export async function install({ recipe, escalate }, { sources }) {
  // The folder is apt's to read, also when it drops its privileges for downloads.
  const folder = recipe.backports ? mkdtempSync(join(tmpdir(), "slm-forge-apt-")) : undefined;
  const asRoot = (words) => runAsRoot(escalate, words);
  // On Ctrl-C nothing awaits any more: what this user may remove goes at once.
  const abandon = () => folder && escalate.length === 0 && rmSync(folder, { recursive: true, force: true });
  process.once("exit", abandon);
  try {
    if (folder) {
      chmodSync(folder, 0o755);
      mkdirSync(join(folder, "lists", "partial"), { recursive: true });
      writeFileSync(join(folder, "sources.list"), sourcesWithBackports(sources, recipe.backports));
    }
    const [update, installation] = aptCommands(recipe.packages, folder ? privateSourcesOptions(folder) : []);
    // An earlier installation that was interrupted is finished first: apt refuses to work before that.
    if (existsSync("/var/lib/dpkg/updates") && readdirSync("/var/lib/dpkg/updates").length > 0) {
      await asRoot(["dpkg", "--configure", "-a"]);
    }
    // A source of somebody else's may be broken without harm: only the installation decides.
    const updated = await asRoot(update);
    const installed = await asRoot(installation);
    if (installed !== 0) {
      throw new SetupError(
        `${shellQuoted(installation)} ended with status ${installed}${updated === 0 ? "" : `, after apt-get update with ${updated}`}; ` +
          `its messages are above. Mend that and run the same command again, or install by hand:\n  ${recipe.byHand}`,
      );
    }
  } finally {
    process.off("exit", abandon);
    if (folder) await removeFolder(folder, asRoot);
  }
}

/** What apt wrote as root is root's to remove. */
async function removeFolder(folder, asRoot) {
  if (process.getuid() === 0) rmSync(folder, { recursive: true, force: true });
  else if ((await asRoot(["rm", "-rf", "--", folder])) !== 0)
    say(`the temporary folder ${folder} could not be removed`);
}

function runAsRoot(escalate, words) {
  const command = [...escalate, "env", "DEBIAN_FRONTEND=noninteractive", ...words];
  say(shellQuoted(command));
  // Only a sudo that may ask for a password gets the terminal.
  const stdin = escalate.length === 1 ? "inherit" : "ignore";
  return runCommand(command[0], command.slice(1), { stdin });
}
