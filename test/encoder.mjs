// Runs the tests of real sentence encoders, set-up included: installs their package where it is missing (475 MB, ten
// seconds or so), into the cache of the user, outside the checkout.
import { spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import {
  PACKAGE,
  PACKAGE_FOLDER,
  VERSION,
} from "../dist/test/specialization/clusters/transformers-package.js";
import { ensureFolder, npmInstall, writeDependencies } from "./cached-install.mjs";

ensureFolder(PACKAGE_FOLDER, (partial) => {
  console.log(`installing ${PACKAGE} ${VERSION} in ${partial}`);
  writeDependencies(partial, { [PACKAGE]: VERSION });
  npmInstall(partial);
});
const { status, error } = spawnSync(process.execPath, ["test/run.mjs", "clusters/sentence-encoder"], {
  cwd: dirname(dirname(fileURLToPath(import.meta.url))),
  stdio: "inherit",
});
if (error) throw error;
process.exit(status ?? 1);
