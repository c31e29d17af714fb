/**
 * Finds a real Node to run `slm` with. The desktop's extension host is Electron, in which Dawn cannot load
 * (it refuses buffers that live outside its heap), so its own executable does not count there.
 */
import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { CliError } from "./cli-error.js";

/** The oldest release that slm runs on. */
const OLDEST = [20, 19] as const;

export interface NodeSources {
  /** Setting slmForge.nodePath; empty when it is not set. */
  readonly setting: string;
  /** The host's own executable where that is Node; undefined in Electron. */
  readonly own: string | undefined;
  readonly path: string;
}

export interface FoundNode {
  readonly path: string;
  readonly version: string;
}

/** The host's own sources. */
export function nodeSources(setting: string): NodeSources {
  const own = process.versions.electron === undefined ? process.execPath : undefined;
  return { setting, own, path: process.env.PATH ?? "" };
}

/** @throws CliError naming what was tried and the remedy */
export async function findNode({ setting, own, path }: NodeSources): Promise<FoundNode> {
  if (setting !== "") {
    const version = await versionOf(setting);
    if (version === undefined)
      throw new CliError(
        `slmForge.nodePath: ${setting} is no Node that can be run. Give the path of a node executable, or clear the setting.`,
      );
    if (!isNewEnough(version))
      throw new CliError(
        `slmForge.nodePath: ${setting} is Node ${version}; slm needs ${OLDEST.join(".")} or newer.`,
      );
    return { path: setting, version };
  }
  const tried: string[] = [];
  for (const candidate of [...(own === undefined ? [] : [own]), ...onPath("node", path)]) {
    const version = await versionOf(candidate);
    if (version !== undefined && isNewEnough(version)) return { path: candidate, version };
    tried.push(version === undefined ? candidate : `${candidate} (${version})`);
  }
  const found = tried.length === 0 ? "There is no node on the PATH" : `None of ${tried.join(", ")} will do`;
  throw new CliError(
    `${found}; slm needs Node ${OLDEST.join(".")} or newer. Install it, or set slmForge.nodePath.`,
  );
}

/** Files of this name in the folders of a PATH, first one first. */
export function onPath(name: string, path: string): string[] {
  const names = process.platform === "win32" ? [`${name}.exe`] : [name];
  return path
    .split(delimiter)
    .filter((folder) => folder !== "")
    .flatMap((folder) => names.map((each) => join(folder, each)))
    .filter(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What `--version` says, without the v; undefined for what is no Node. */
async function versionOf(path: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(path, ["--version"], { timeout: 10_000, windowsHide: true });
    return /^v(\d+\.\d+\.\d+)/.exec(stdout)?.[1];
  } catch {
    return undefined;
  }
}

function isNewEnough(version: string): boolean {
  const [major, minor] = version.split(".").map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}
