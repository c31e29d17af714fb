// Packs dist/vscode into dist/slm-forge.vsix and says how large it is. The same sources give the same bytes.
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const MOST_BYTES = 2 * 2 ** 20;

/** Writes the VSIX and returns its path. @throws Error when vsce fails or the file is too large */
export function packageExtension() {
  const vsix = join(root, "dist", "slm-forge.vsix");
  mkdirSync(dirname(vsix), { recursive: true });
  rmSync(vsix, { force: true });
  const vsce = join(dirname(createRequire(import.meta.url).resolve("@vscode/vsce/package.json")), "vsce");
  const parameters = ["package", "--no-dependencies", "--allow-missing-repository", "--out", vsix];
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [vsce, ...parameters], {
    cwd: join(root, "dist", "vscode"),
    /* times in the archive are no part of what is packed */
    env: { ...process.env, SOURCE_DATE_EPOCH: "1767225600" },
    encoding: "utf8",
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`vsce package failed:\n${stdout}${stderr}`);
  const { size } = statSync(vsix);
  if (size > MOST_BYTES) throw new Error(`${vsix} has ${size} bytes; at most ${MOST_BYTES} are meant to be.`);
  console.log(`${vsix}: ${(size / 1024).toFixed(0)} KiB`);
  return vsix;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) packageExtension();
