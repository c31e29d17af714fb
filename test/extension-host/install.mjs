// A real VS Code to test in: Microsoft's server and web workbench as the npm package code-server carries them, with
// the Node they want. Installed once into the cache of the user, outside the checkout (820 MB), about a minute.
import { join } from "node:path";
import { CACHE, ensureFolder, npmInstall, writeDependencies } from "../cached-install.mjs";

const CODE_SERVER = "4.139.1";
const NODE = "24.21.0";

/** Where VS Code is: its server's entry and the Node that runs it. Installs it where it is missing. */
export function ensureVsCode() {
  if (process.platform !== "linux")
    throw new Error(`The editor's tests run on Linux; this is ${process.platform}.`);
  const nodePackage = `node-linux-${process.arch}`;
  const folder = join(CACHE, `vscode-${CODE_SERVER}-${process.arch}`);
  ensureFolder(folder, (partial) => {
    console.log(`installing VS Code (code-server ${CODE_SERVER}) in ${partial}`);
    install(partial, nodePackage);
  });
  const modules = join(folder, "node_modules");
  return {
    node: join(modules, nodePackage, "bin", "node"),
    server: join(modules, "code-server", "lib", "vscode", "out", "server-main.js"),
  };
}

/** Without install scripts: what they would build (logs in native code, terminals) is shipped or not needed. */
function install(folder, nodePackage) {
  writeDependencies(folder, { "code-server": CODE_SERVER, [nodePackage]: NODE });
  const vscode = join(folder, "node_modules", "code-server", "lib", "vscode");
  const node = join(folder, "node_modules", nodePackage, "bin");
  const env = { ...process.env, PATH: `${node}:${process.env.PATH}` };
  for (const [place, more] of [
    [folder, []],
    [vscode, ["--omit=dev"]],
    [join(vscode, "extensions"), ["--omit=dev"]],
  ])
    npmInstall(place, more, env);
}
