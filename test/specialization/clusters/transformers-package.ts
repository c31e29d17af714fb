/**
 * Lets this process, or one that is started with --import of this file, find `@huggingface/transformers` where
 * `npm run test:encoder` puts it: in the cache of the user. The package is optional and large, so no checkout has it.
 */
import { existsSync } from "node:fs";
import { type ResolveHook, register } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { isMainThread } from "node:worker_threads";

export const PACKAGE = "@huggingface/transformers";
export const VERSION = "4.3.2";
/** The folder that it is installed in. */
export const PACKAGE_FOLDER = join(
  process.env.XDG_CACHE_HOME || join(homedir(), ".cache"),
  "slm-forge",
  `transformers-${VERSION}`,
);

/** Whether there is one to test with. */
export const isInstalled = existsSync(PACKAGE_FOLDER);

/** Node's own search, begun in the folder. */
export const resolve: ResolveHook = (specifier, context, next) =>
  specifier === PACKAGE
    ? next(specifier, { ...context, parentURL: pathToFileURL(join(PACKAGE_FOLDER, "package.json")).href })
    : next(specifier, context);

/* the hooks themselves run in a thread of their own */
if (isMainThread && isInstalled) register(import.meta.url);
