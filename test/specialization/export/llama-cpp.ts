/**
 * llama.cpp for the interoperability tests: npm `node-llama-cpp` with its prebuilt CPU library, installed once into a cache
 * folder. Not a devDependency: npm would bring its GPU builds along, several hundred megabytes; these two packages take 85.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";

const VERSION = "3.22.1";
const PLATFORM_PACKAGES: Readonly<Record<string, string>> = {
  "linux-x64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "darwin-x64": "mac-x64",
  "darwin-arm64": "mac-arm64-metal",
  "win32-x64": "win-x64",
  "win32-arm64": "win-arm64",
};

export interface LlamaModel {
  /** Ids of a text; special tokens spelled out in it are plain text. */
  tokenize(text: string): number[];
  /** Logits after every position of one sequence. */
  logits(ids: readonly number[]): Promise<Float64Array[]>;
  dispose(): Promise<void>;
}

export interface LlamaCpp {
  load(path: string): Promise<LlamaModel>;
  dispose(): Promise<void>;
}

/** What the tests use of the package; it is not there when they are compiled. */
interface Package {
  getLlama(
    options: object,
  ): Promise<{ loadModel(options: object): Promise<PackageModel>; dispose(): Promise<void> }>;
}
interface PackageModel {
  tokenize(text: string, specialTokens: boolean): number[];
  createContext(options: object): Promise<{ getSequence(): PackageSequence }>;
  dispose(): Promise<void>;
}
interface PackageSequence {
  clearHistory(): Promise<void>;
  controlledEvaluate(
    input: readonly unknown[],
  ): Promise<({ next: { logits?: Map<number, number> } } | undefined)[]>;
}

/** Installs the packages where they are missing, and starts llama.cpp on the CPU. */
export async function openLlamaCpp(): Promise<LlamaCpp> {
  const folder = await install();
  const entry = join(folder, "node_modules", "node-llama-cpp", "dist", "index.js");
  const { getLlama } = (await import(pathToFileURL(entry).href)) as Package;
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    logLevel: "error",
    maxThreads: 2,
  });
  return {
    load: async (path) => wrap(await llama.loadModel({ modelPath: path, useMmap: false })),
    dispose: () => llama.dispose(),
  };
}

async function wrap(model: PackageModel): Promise<LlamaModel> {
  // by default keys and values are kept in f16, which alone moves a perplexity by 0.01 %
  const kinds = {
    experimentalKvCacheKeyType: "F32",
    experimentalKvCacheValueType: "F32",
    flashAttention: false,
  };
  const context = await model.createContext({ contextSize: 256, batchSize: 256, ...kinds });
  const sequence = context.getSequence();
  return {
    tokenize: (text) => model.tokenize(text, false),
    async logits(ids) {
      await sequence.clearHistory();
      const outputs = await sequence.controlledEvaluate(
        ids.map((id) => [id, { generateNext: { logits: true } }]),
      );
      return outputs.map((output) => {
        const logits = output!.next.logits!;
        const row = new Float64Array(logits.size);
        for (const [id, value] of logits) row[id] = value;
        return row;
      });
    },
    dispose: () => model.dispose(),
  };
}

/** Installs into a folder beside the final one and renames, so that an interrupted installation is done again. */
async function install(): Promise<string> {
  const platform = PLATFORM_PACKAGES[`${process.platform}-${process.arch}`];
  if (!platform)
    throw new Error(`node-llama-cpp ${VERSION} has no library for ${process.platform}-${process.arch}.`);
  // compiled tests run from dist/test/specialization/export
  const root = fileURLToPath(new URL("../../../../", import.meta.url));
  const folder = join(root, "node_modules", ".cache", "slm-forge", `node-llama-cpp-${VERSION}-${platform}`);
  if (existsSync(folder)) return folder;
  const temporary = `${folder}.${process.pid}.tmp`;
  await mkdir(temporary, { recursive: true });
  await writeFile(join(temporary, "package.json"), JSON.stringify({ private: true }));
  const packages = [`node-llama-cpp@${VERSION}`, `@node-llama-cpp/${platform}@${VERSION}`];
  const options = ["--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--save-exact"];
  try {
    const npm = process.platform === "win32" ? "npm.cmd" : "npm";
    await promisify(execFile)(npm, ["install", "--prefix", temporary, ...options, ...packages], {
      shell: process.platform === "win32",
    });
    if (!existsSync(folder)) await rename(temporary, folder);
  } catch (cause) {
    throw new Error(
      `${packages.join(" and ")} could not be installed into ${dirname(folder)}: ${(cause as Error).message}`,
      { cause },
    );
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return folder;
}
