/** Texts of kernels from elsewhere than shaders/: a file of anybody, or the engine's at a git revision. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { type KernelCall, shaderPath } from "../../engine/gpu/index.js";
import type { KernelCase, KernelVariant } from "../../engine/kernels/index.js";
import { packageRoot } from "../version.js";
import { filesOf } from "./kernels-selection.js";

/** Larger files are no shaders. */
const MOST_BYTES = 4 * 2 ** 20;

export interface KernelText {
  readonly text: string;
  /** Where the text comes from, for messages. */
  readonly shownAs: string;
}

/** Texts by the name of the file in shaders/ that each stands for. */
export type KernelTexts = ReadonlyMap<string, KernelText>;

/** Another version of kernels, given with --against. */
export interface OtherVersion {
  /** As it was given. */
  readonly name: string;
  /** The version's texts for a variant; undefined where it has none of the variant's files. */
  textsOf(variant: KernelVariant): KernelTexts | undefined;
}

/**
 * Where the shader of a name lies: the file itself, or else the engine's of this name.
 * @throws Error where there is neither
 */
export function shaderFile(name: string): string {
  if (existsSync(name)) return name;
  const shaders = join(packageRoot(), "shaders");
  const ofEngine = join(shaders, name);
  if (existsSync(ofEngine)) return ofEngine;
  throw new Error(
    `There is no file ${name}, nor one of this name in ${shaders}. slm kernels list shows the engine's.`,
  );
}

/** The text of a file that may be a shader. @throws Error for what is none */
export function readShader(file: string): string {
  if (!existsSync(file)) throw new Error(`There is no file ${file}.`);
  const attributes = statSync(file);
  if (!attributes.isFile() || attributes.size > MOST_BYTES)
    throw new Error(`${file} is no WGSL file. Give a text of at most ${MOST_BYTES} bytes.`);
  return readFileSync(file, "utf8");
}

/** The problem with its calls compiled from other texts. */
export function withTexts(problem: KernelCase, texts: KernelTexts): KernelCase {
  const calls = problem.calls.map(
    (c): KernelCall<string> => ({ ...c, kernel: { ...c.kernel, ...texts.get(c.kernel.file) } }),
  );
  return { ...problem, calls };
}

/** Whether two versions of a problem are compiled from the same texts. */
export function isSameText(a: KernelCase, b: KernelCase): boolean {
  const textsOf = ({ calls }: KernelCase) =>
    calls.map(({ kernel }) => kernel.text ?? readFileSync(shaderPath(kernel.file), "utf8"));
  const others = textsOf(b);
  return textsOf(a).every((text, i) => text === others[i]);
}

/**
 * The version that --against names: a git revision, or a file, which stands for `replaced` or else for the file of
 * its name among those of the variants.
 * @throws Error where it is neither
 */
export function openVersion(
  against: string,
  variants: readonly KernelVariant[],
  replaced?: string,
): OtherVersion {
  const files = [...new Set(variants.flatMap(filesOf))];
  if (!existsSync(against)) return gitVersion(against, files);
  if (statSync(against).isDirectory()) {
    try {
      return gitVersion(against, files);
    } catch {
      throw new Error(`--against ${against} is a folder. Give one .wgsl file, or a git revision.`);
    }
  }
  const file = replaced ?? replacedBy(against, variants, files);
  const texts = new Map([[file, { text: readShader(against), shownAs: resolve(against) }]]);
  return { name: against, textsOf: (variant) => (filesOf(variant).includes(file) ? texts : undefined) };
}

/** Which file of the variants a file stands for: the one of its name, or the only one that there is. */
function replacedBy(against: string, variants: readonly KernelVariant[], files: readonly string[]): string {
  const name = basename(against);
  if (files.includes(name)) return name;
  const mains = [...new Set(variants.map(({ file }) => file))];
  if (mains.length === 1) return mains[0];
  throw new Error(
    `--against ${against} could stand for any of ${files.join(", ")}. Name it as the one that it is a version of, or choose ` +
      "a kernel and a --variant.",
  );
}

/**
 * The version of somebody's file that --against names: another file, or this one at a git revision of its folder.
 * @throws Error where it is neither
 */
export function openOwnVersion(against: string, file: string): KernelText {
  if (existsSync(against) && statSync(against).isFile())
    return { text: readShader(against), shownAs: against };
  const git = gitIn(dirname(resolve(file)));
  try {
    const commit = git("rev-parse", "--verify", "--end-of-options", `${against}^{commit}`).trim();
    const text = git("cat-file", "blob", `${commit}:./${basename(file)}`);
    return { text, shownAs: `${against}:${basename(file)}` };
  } catch (error) {
    throw new Error(
      `--against ${against}: neither a file nor a git revision that holds ${file} (${reasonOf(error)}).`,
    );
  }
}

/** Runs git in a folder. */
function gitIn(folder: string): (...parameters: string[]) => string {
  return (...parameters) =>
    execFileSync("git", parameters, {
      cwd: folder,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      maxBuffer: MOST_BYTES,
    });
}

/** The first line of what git says is wrong. */
function reasonOf(error: unknown): string {
  const { stderr, message } = error as Error & { stderr?: string };
  return (stderr || message).trim().split("\n")[0];
}

function gitVersion(revision: string, files: readonly string[]): OtherVersion {
  const git = gitIn(packageRoot());
  const found = new Map<string, KernelText>();
  let reason = "";
  try {
    const commit = git("rev-parse", "--verify", "--end-of-options", `${revision}^{commit}`).trim();
    const held = new Set(git("ls-tree", "--name-only", commit, "./shaders/").trim().split("\n"));
    for (const file of files)
      if (held.has(`shaders/${file}`))
        found.set(file, {
          text: git("show", `${commit}:./shaders/${file}`),
          shownAs: `${revision}:shaders/${file}`,
        });
  } catch (error) {
    reason = ` (${reasonOf(error)})`;
  }
  if (found.size === 0)
    throw new Error(
      `--against ${revision}: neither a file nor a git revision that holds shaders/${files.join(" or ")}${reason}.`,
    );
  return {
    name: revision,
    textsOf(variant) {
      const texts = new Map([...found].filter(([file]) => filesOf(variant).includes(file)));
      return texts.size > 0 ? texts : undefined;
    },
  };
}
