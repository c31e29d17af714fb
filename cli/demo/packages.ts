/** The packages that a demo finds text in: what slm-forge is installed with, and npm, which comes with Node. */
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { packageRoot } from "../version.js";

export interface InstalledPackage {
  readonly name: string;
  readonly folder: string;
}

type Dependencies = Readonly<Record<string, string>>;

interface Manifest {
  readonly name: string;
  readonly dependencies?: Dependencies;
  readonly devDependencies?: Dependencies;
  readonly optionalDependencies?: Dependencies;
}

/**
 * Every package that slm-forge and npm depend on, directly or not, and that is there; by name, then by folder. Only these,
 * so that a project in which slm-forge is installed among others does not change the text.
 */
export function installedPackages(): InstalledPackage[] {
  const found = new Map<string, InstalledPackage>();
  const waiting: string[] = [];
  const add = (folder: string) => {
    if (found.has(folder)) return;
    found.set(folder, { name: readManifest(folder).name, folder });
    waiting.push(folder);
  };
  const root = packageRoot();
  for (const name of Object.keys({
    ...readManifest(root).dependencies,
    ...readManifest(root).devDependencies,
  })) {
    const folder = locate(name, root);
    if (folder !== undefined) add(folder);
  }
  const npm = npmFolder();
  if (npm !== undefined) add(npm);
  for (let folder = waiting.shift(); folder !== undefined; folder = waiting.shift()) {
    const { dependencies, optionalDependencies } = readManifest(folder);
    /* those for other platforms are not there */
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const dependency = locate(name, folder);
      if (dependency !== undefined) add(dependency);
    }
  }
  const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  return [...found.values()].sort((a, b) => order(a.name, b.name) || order(a.folder, b.folder));
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
}

/** Where Node would find a package that is imported by another. */
function locate(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name);
    if (existsSync(join(candidate, "package.json"))) return realpathSync(candidate);
    if (dirname(folder) === folder) return undefined;
  }
}

/** The npm beside this Node: below lib on Linux and macOS, beside the program on Windows. */
function npmFolder(): string | undefined {
  const program = dirname(realpathSync(process.execPath));
  return [join(program, "node_modules", "npm"), join(program, "..", "lib", "node_modules", "npm")].find(
    (folder) => existsSync(join(folder, "package.json")),
  );
}
