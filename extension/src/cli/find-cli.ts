/** Finds the installation of slm-forge that belongs to a workspace. */
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { CliError } from "./cli-error.js";

export interface CliSources {
  /** Setting slmForge.cliPath; empty when it is not set. */
  readonly setting: string;
  readonly folders: readonly string[];
  readonly path: string;
}

export interface FoundCli {
  /** The program, as package.json names it. */
  readonly path: string;
  /** How it was found, to be shown. */
  readonly source: "setting" | "workspace" | "checkout" | "PATH";
}

const PACKAGE = "slm-forge";

/**
 * The setting, else the version that the workspace pins, else the checkout of slm-forge that the workspace lies in,
 * else the one installed for the whole machine.
 *
 * @throws CliError with the remedy when there is none
 */
export function findCli({ setting, folders, path }: CliSources): FoundCli {
  if (setting !== "") {
    const main =
      programIn(setting) ?? (/\.[cm]?js$/.test(setting) && existsSync(setting) ? setting : undefined);
    if (main === undefined)
      throw new CliError(
        `slmForge.cliPath: there is no slm at ${setting}. Give the folder of an installed slm-forge, or clear the setting.`,
      );
    return { path: main, source: "setting" };
  }
  for (const folder of folders.flatMap(upwards)) {
    const main = programIn(join(folder, "node_modules", PACKAGE));
    if (main !== undefined) return { path: main, source: "workspace" };
  }
  for (const folder of folders.flatMap(upwards)) {
    const main = programIn(folder);
    if (main !== undefined) return { path: main, source: "checkout" };
  }
  for (const folder of path.split(delimiter).filter((each) => each !== "")) {
    const main = programIn(join(folder, "node_modules", PACKAGE)) ?? behindLink(join(folder, "slm"));
    if (main !== undefined) return { path: main, source: "PATH" };
  }
  throw new CliError(
    "slm-forge is not installed here. Run npm install --global . in its checkout, or set slmForge.cliPath to that folder.",
  );
}

/** A folder and all above it. */
function upwards(folder: string): string[] {
  const above = dirname(folder);
  return above === folder ? [folder] : [folder, ...upwards(above)];
}

/** The program of the package in a folder; undefined where the folder is another's, or is not built. */
function programIn(folder: string): string | undefined {
  try {
    const { name, bin } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const main = join(folder, bin.slm);
    return name === PACKAGE && existsSync(main) ? main : undefined;
  } catch {
    return undefined;
  }
}

/** npm links a program installed for the whole machine into a folder of the PATH. */
function behindLink(link: string): string | undefined {
  try {
    const main = realpathSync(link);
    return upwards(dirname(main)).some((folder) => programIn(folder) === main) ? main : undefined;
  } catch {
    return undefined;
  }
}
