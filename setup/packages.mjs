// npm packages: whether node_modules holds what package-lock.json asks for, and `npm ci` where it does not.
// npm writes node_modules/.package-lock.json as its last act, so an interrupted installation is seen as missing.

import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { runCommand } from "./command.mjs";
import { SetupError, say } from "./report.mjs";

/** True where every package of package-lock.json that belongs on this platform is in node_modules. */
export function packagesAreCurrent(root) {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  const installedPath = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(installedPath)) return false;
  let installed;
  try {
    installed = JSON.parse(readFileSync(installedPath, "utf8"));
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
  const missing = missingPackages(lock, installed, {
    platform: process.platform,
    architecture: process.arch,
  });
  return (
    missing.length === 0 && Object.keys(installed.packages).every((path) => existsSync(join(root, path)))
  );
}

/**
 * The packages of a lock file that are not installed in the locked version.
 *
 * @param lock parsed package-lock.json
 * @param installed parsed node_modules/.package-lock.json
 * @param {{ platform: string, architecture: string }} host optional packages are missed only where they are made for it
 * @returns {string[]} their paths
 */
export function missingPackages(lock, installed, host) {
  return Object.entries(lock.packages)
    .filter(([path, wanted]) => {
      if (path === "" || wanted.link) return false;
      const present = installed.packages?.[path];
      if (present) return present.version !== wanted.version || present.integrity !== wanted.integrity;
      // npm leaves out an optional package whose own build fails; those made for one platform are what others need.
      if (wanted.optional && !wanted.os && !wanted.cpu) return false;
      // Which C library an optional package is for is npm's to judge: it installs one of the two.
      if (wanted.optional && (wanted.libc || !admits(wanted.os, host.platform))) return false;
      return !(wanted.optional && !admits(wanted.cpu, host.architecture));
    })
    .map(([path]) => path);
}

/** npm's `os` and `cpu` lists: names that are admitted, or names with `!` that are not. */
function admits(list, name) {
  if (!list || list.length === 0) return true;
  if (list.includes(`!${name}`)) return false;
  return list.includes(name) || list.every((entry) => entry.startsWith("!"));
}

/** Runs `npm ci` in `root`. Throws SetupError when it fails. */
export async function installPackages(root) {
  const parameters = ["ci", "--include=dev", "--no-audit", "--no-fund"];
  say(`installing npm packages: npm ${parameters.join(" ")}`);
  // Under `npm run` the very npm that is running; else the one on the path, a .cmd file on Windows.
  const cli = process.env.npm_execpath;
  const status =
    cli && basename(cli) === "npm-cli.js"
      ? await runCommand(process.execPath, [cli, ...parameters], { cwd: root })
      : await runCommand("npm", parameters, { cwd: root, shell: process.platform === "win32" });
  if (status === 127)
    throw new SetupError("npm is not on the path: install it beside Node (Debian, Ubuntu: the package npm).");
  if (status !== 0) {
    throw new SetupError(
      `npm ci ended with status ${status} (its own message is above). Mend that, most often the network or a ` +
        "proxy (npm config set proxy …), and run the same command again.",
    );
  }
  if (!packagesAreCurrent(root)) {
    throw new SetupError(
      "npm ci ended well but packages are missing: delete node_modules and run the same command again.",
    );
  }
}
