// What tests need and is too large for every checkout: installed once into the cache of the user, whole or not at all.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";

/** The user's cache of this project. */
export const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "slm-forge");

/** Where the folder is missing, `install` fills one under another name first. */
export function ensureFolder(folder, install) {
  if (existsSync(folder)) return;
  const [cache, name] = [dirname(folder), basename(folder)];
  mkdirSync(cache, { recursive: true });
  for (const left of readdirSync(cache).filter((each) => each.startsWith(`${name}.partial-`)))
    if (!isAlive(Number(left.slice(left.lastIndexOf("-") + 1))))
      rmSync(join(cache, left), { recursive: true });
  const partial = `${folder}.partial-${process.pid}`;
  mkdirSync(partial);
  install(partial);
  /* another checkout may have been faster */
  if (existsSync(folder)) rmSync(partial, { recursive: true });
  else renameSync(partial, folder);
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Writes a package.json with these dependencies. */
export function writeDependencies(folder, dependencies) {
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, dependencies }));
}

/** npm install without the packages' own scripts. */
export function npmInstall(folder, more = [], env = process.env) {
  const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const { status, error } = spawnSync("npm", ["install", ...quiet, ...more], {
    cwd: folder,
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`npm install in ${folder} ended with exit code ${status}.`);
}
