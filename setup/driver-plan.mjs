// What to do about the Vulkan driver: a pure decision over what was found, so that every case can be tested.
// A real GPU is never replaced by a software adapter silently: where one is at hand but Vulkan does not find
// it, the set-up stops with the remedy unless software was allowed.

import { releaseSource } from "./apt.mjs";

/**
 * @typedef {object} Findings
 * @property {string} platform process.platform
 * @property {{ id: string, like: string[], version: string, codename: string, name: string } | null} distribution
 * @property {{ name: string, kind: "gpu" | "software" } | null} adapter the best that Dawn finds
 * @property {{ vendor: string, description: string, given: boolean }[]} signs hardware that could train
 * @property {{ code: string, problem: string, remedy: string }[]} problems from the diagnosis of the host
 * @property {boolean} inContainer
 * @property {boolean} allowSoftware
 * @property {boolean} isRoot
 * @property {"none" | "password" | "free"} sudo whether sudo exists and works without a password
 * @property {boolean} interactive whether a person can type a password
 * @property {boolean} hasApt
 * @property {import("./apt.mjs").AptSource[]} sources
 */

/**
 * @param {Findings} findings
 * @returns {{ action: "ready" | "install" | "stop", say: string, recipe?: Recipe, escalate?: string[] }}
 *   `say` is for the user; `escalate` are the words before a command that needs root
 */
export function planDriver(findings) {
  const { platform, adapter, problems } = findings;
  if (platform !== "linux") return { action: "ready", say: "ready" };
  if (adapter?.kind === "gpu") return { action: "ready", say: `ready: ${adapter.name}` };

  const unsupported = problems.find(({ code }) => code === "musl" || code === "old-glibc");
  if (unsupported) return stop(`Dawn cannot run here: ${lines([unsupported])}`);

  const hardware = planForHardware(findings);
  if (hardware) return hardware;

  const notice = unusedGpuNotice(findings);
  if (adapter) return { action: "ready", say: `${notice}ready: ${adapter.name} (software adapter, no GPU)` };
  const override = problems.find(({ code }) => code === "driver-override");
  if (override) return stop(`no Vulkan adapter: ${lines([override])}`);
  return planInstallation(findings, `${notice}no GPU found: installing a software Vulkan driver`);
}

/** Where a GPU is at hand but Vulkan does not find it; undefined where there is none or software was allowed. */
function planForHardware(findings) {
  const { signs, problems, inContainer, allowSoftware } = findings;
  // A container sees every PCI device of its host. Without a device node the GPU was not given to it.
  const atHand = signs.filter((sign) => sign.given || !inContainer);
  if (atHand.length === 0) return undefined;
  const lacks = (code) => problems.some((problem) => problem.code === code);
  if (
    problems.length > 0 &&
    problems.every(({ code }) => code === "mesa-driver-missing" || code === "no-vulkan-loader")
  ) {
    const gpu = atHand[0].description;
    return lacks("mesa-driver-missing")
      ? planInstallation(findings, `${gpu}: installing Mesa's Vulkan driver for it`)
      : planInstallation(findings, `${gpu}: installing the Vulkan loader for its driver`, ["libvulkan1"]);
  }
  if (allowSoftware) return undefined;
  return stop(
    `this machine has a GPU that Vulkan does not find: ${atHand.map((sign) => sign.description).join("; ")}\n` +
      `${lines(problems)}\n` +
      "To go on without the GPU, many times slower, set SLM_ALLOW_SOFTWARE=1 and run the same command again.",
  );
}

function unusedGpuNotice({ signs, problems }) {
  if (signs.length === 0) return "";
  return `NOT using the GPU, a software adapter instead: ${signs.map((sign) => sign.description).join("; ")}\n${lines(problems)}\n`;
}

function lines(problems) {
  return problems.map(({ problem, remedy }) => `${problem}\n  -> ${remedy}`).join("\n");
}

function stop(say) {
  return { action: "stop", say };
}

/**
 * How a distribution gets its driver. `backports` is the codename whose backports carry the driver.
 * @typedef {{ packages: string[], backports?: string, byHand: string }} Recipe
 */

function planInstallation(findings, announcement, packages = ["libvulkan1", "mesa-vulkan-drivers"]) {
  const { distribution, hasApt, isRoot, sudo, interactive, sources } = findings;
  const name = distribution?.name ?? "this system";
  const family = distribution ? [distribution.id, ...distribution.like] : [];
  if (!hasApt || !family.some((id) => id === "debian" || id === "ubuntu")) {
    return stop(
      `no Vulkan adapter, and no package manager that the set-up knows on ${name}.\n  -> ${byHandElsewhere(family)}`,
    );
  }
  const recipe = aptRecipe(distribution, family, sources, packages);
  if (!recipe) {
    return stop(
      `${name} needs mesa-vulkan-drivers from ${distribution.codename}-backports, but /etc/apt names no mirror of ` +
        `${distribution.codename} to take it from.\n  -> add that release's main archive to /etc/apt/sources.list and run the same command again`,
    );
  }
  const say = `${announcement} (${recipe.packages.join(", ")})`;
  if (isRoot) return { action: "install", say, recipe, escalate: [] };
  if (sudo === "free")
    return { action: "install", say: `${say}, through sudo`, recipe, escalate: ["sudo", "-n"] };
  if (sudo === "password" && interactive) {
    return { action: "install", say: `${say}; sudo may ask for your password`, recipe, escalate: ["sudo"] };
  }
  return stop(
    `no Vulkan adapter: a Vulkan driver has to be installed, and this user may not do it.\n` +
      `  -> ask someone who may, to run: ${recipe.byHand}`,
  );
}

function aptRecipe(distribution, family, sources, packages) {
  const byHand = (names) =>
    `sudo apt-get update && sudo apt-get install -y --no-install-recommends ${names.join(" ")}`;
  // Debian 12's own Mesa 22.3 has no adapter that Dawn accepts; every later release's, and Ubuntu's from 22.04, has.
  const old = distribution.codename === "bookworm" && !family.includes("ubuntu");
  if (!old || !packages.includes("mesa-vulkan-drivers")) return { packages, byHand: byHand(packages) };
  const release = releaseSource(sources, "bookworm");
  if (!release) return undefined;
  const backports = packages.map((name) =>
    name === "mesa-vulkan-drivers" ? `${name}/bookworm-backports` : name,
  );
  const line = `deb ${release.uri} bookworm-backports main`;
  return {
    packages: backports,
    backports: "bookworm",
    byHand: `echo '${line}' | sudo tee /etc/apt/sources.list.d/bookworm-backports.list && ${byHand(backports)}`,
  };
}

function byHandElsewhere(family) {
  const known = {
    fedora: "sudo dnf install vulkan-loader mesa-vulkan-drivers",
    rhel: "sudo dnf install vulkan-loader mesa-vulkan-drivers",
    arch: "sudo pacman -S vulkan-icd-loader vulkan-swrast",
    suse: "sudo zypper install libvulkan1 libvulkan_lvp",
  };
  const id = family.find((each) => each in known);
  const command = id
    ? known[id]
    : "the Vulkan loader (libvulkan.so.1) and Mesa's lavapipe driver, 23.2 or newer, from your distribution";
  return `install by hand: ${command}`;
}
