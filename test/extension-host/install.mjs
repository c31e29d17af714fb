// A real VS Code to test in: Microsoft's server and web workbench as the npm package code-server carries them, with
// the Node they want. Installed once into the cache of the user, outside the checkout (820 MB), about a minute.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const CODE_SERVER = "4.139.1";
const NODE = "24.21.0";

/** Where VS Code is: its server's entry and the Node that runs it. Installs it where it is missing. */
export function ensureVsCode() {
  if (process.platform !== "linux")
    throw new Error(`The editor's tests run on Linux; this is ${process.platform}.`);
  const nodePackage = `node-linux-${process.arch}`;
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "slm-forge");
  const name = `vscode-${CODE_SERVER}-${process.arch}`;
  const folder = join(cache, name);
  if (!existsSync(folder)) {
    console.log(`installing VS Code (code-server ${CODE_SERVER}) in ${folder}`);
    mkdirSync(cache, { recursive: true });
    for (const left of readdirSync(cache).filter((each) => each.startsWith(`${name}.partial-`)))
      if (!isAlive(Number(left.slice(left.lastIndexOf("-") + 1))))
        rmSync(join(cache, left), { recursive: true });
    const partial = `${folder}.partial-${process.pid}`;
    install(partial, nodePackage);
    /* another checkout may have been faster */
    if (existsSync(folder)) rmSync(partial, { recursive: true });
    else renameSync(partial, folder);
  }
  const modules = join(folder, "node_modules");
  return {
    node: join(modules, nodePackage, "bin", "node"),
    server: join(modules, "code-server", "lib", "vscode", "out", "server-main.js"),
  };
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Without install scripts: what they would build (logs in native code, terminals) is shipped or not needed. */
function install(folder, nodePackage) {
  mkdirSync(folder);
  const dependencies = { "code-server": CODE_SERVER, [nodePackage]: NODE };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, dependencies }));
  const vscode = join(folder, "node_modules", "code-server", "lib", "vscode");
  const node = join(folder, "node_modules", nodePackage, "bin");
  for (const [place, more] of [
    [folder, []],
    [vscode, ["--omit=dev"]],
    [join(vscode, "extensions"), ["--omit=dev"]],
  ]) {
    const parameters = [
      "install",
      "--ignore-scripts",
      "--no-audit",
      "--no-fund",
      "--loglevel=error",
      ...more,
    ];
    const { status, error } = spawnSync("npm", parameters, {
      cwd: place,
      env: { ...process.env, PATH: `${node}:${process.env.PATH}` },
      stdio: ["ignore", "ignore", "inherit"],
    });
    if (error) throw error;
    if (status !== 0) throw new Error(`npm install in ${place} ended with exit code ${status}.`);
  }
}
