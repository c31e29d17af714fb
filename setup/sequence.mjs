// The order of the set-up: packages, compilation, driver. Each stage says whether it has work to do, so that
// a run with nothing to do takes no lock and prints one line. Everything is printed on stderr: the standard
// output belongs to the command that the set-up runs before.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { compilationIsCurrent, compile } from "./compilation.mjs";
import { ensureAdapter } from "./driver.mjs";
import { withLock } from "./lock.mjs";
import { installPackages, packagesAreCurrent } from "./packages.mjs";
import { SetupError, say } from "./report.mjs";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

const USAGE = `usage: node setup/main.mjs [--allow-software]

Installs the packages, compiles the project and makes sure that there is a Vulkan adapter. Safe to run again.

  --allow-software   go on with a software adapter although the machine has a GPU that Vulkan does not find
                     (as SLM_ALLOW_SOFTWARE=1)`;

/** Runs the whole set-up and ends the process with an exit code when a stage cannot be completed. */
export async function main(argv) {
  for (const name of ["SIGINT", "SIGTERM"]) {
    process.on(name, () => process.exit(name === "SIGINT" ? 130 : 143));
  }
  try {
    const unknown = argv.find((argument) => !["--allow-software", "--help", "-h"].includes(argument));
    if (unknown !== undefined) throw new SetupError(`unknown argument ${unknown}\n\n${USAGE}`);
    if (argv.includes("--help") || argv.includes("-h")) {
      console.log(USAGE);
      return;
    }
    const allowSoftware = argv.includes("--allow-software") || process.env.SLM_ALLOW_SOFTWARE === "1";
    // An installed package has no sources: its packages and compiled files came with it.
    if (existsSync(join(ROOT, "tsconfig.json"))) await prepareCheckout();
    say(await ensureAdapter(ROOT, allowSoftware));
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    process.exitCode = 1;
  }
}

async function prepareCheckout() {
  if (packagesAreCurrent(ROOT) && compilationIsCurrent(ROOT)) return;
  await withLock(join(ROOT, "dist", ".setup.lock"), async () => {
    // Asked again: another set-up may have done the work while this one waited for the lock.
    if (!packagesAreCurrent(ROOT)) await installPackages(ROOT);
    if (!compilationIsCurrent(ROOT)) await compile(ROOT);
  });
}
