import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { shadersFolder } from "../engine/gpu/index.js";

/** The root of this installation: the folder of package.json. */
export function packageRoot(): string {
  return dirname(shadersFolder());
}

/** The program `slm` as it is installed: the bundle that bundle.mjs makes. */
export function slmPath(): string {
  return join(packageRoot(), "dist", "bundle", "slm.js");
}

export function version(): string {
  return (JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")) as { version: string })
    .version;
}
