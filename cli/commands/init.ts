/** `slm init`: writes a commented forge.yaml for someone's files after looking at them. */
import { existsSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { loadForge } from "../../specialization/stages/forge-config.js";
import {
  commonTextField,
  type FileSet,
  type FilesFound,
  forgeTemplate,
  lookAt,
  MISSING_CORPUS,
} from "../../specialization/stages/forge-init.js";
import { domainName, textPath } from "../../specialization/stages/text-path.js";
import { writeFileAtomically } from "../../specialization/training/atomic-file.js";
import { SET_NAME } from "../../specialization/training/config-schema.js";
import { commandName } from "../demo/commands.js";
import { printJson } from "../print-json.js";

/** What the corpus is called in messages; no domain's name has a blank in it. */
const CORPUS = "the corpus";

interface NamedPaths {
  readonly name: string;
  readonly paths: readonly string[];
}

interface InitOptions {
  readonly corpus: readonly string[];
  readonly domain: readonly NamedPaths[];
  readonly validation: readonly NamedPaths[];
  readonly output: string;
  readonly name?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

export function registerInit(program: Command): void {
  program
    .command("init")
    .description("look at your files, and write a commented forge.yaml for slm run")
    .argument("[domain]", "files or folder of one domain, named after them")
    .option(
      "--corpus <paths...>",
      "much general text: files, globs or folders; the domain is to stand before it",
      [],
    )
    .option("--domain <name=path,…>", "a domain's text; repeatable", namedPaths, [])
    .option(
      "--validation <name=path,…>",
      "other text of a domain, to stop and to test by; repeatable",
      namedPaths,
      [],
    )
    .option("--output <file>", "the file to write", "forge.yaml")
    .option("--name <name>", "name of the job, and of its folder (default: that of the first domain)")
    .option("--force", "write over a file that is there")
    .option("--json", "print what was found as JSON")
    .action(init);
}

function namedPaths(text: string, earlier: readonly NamedPaths[]): readonly NamedPaths[] {
  const [, name, paths] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError("Write name=path, or name=path,path.");
  if (!SET_NAME.test(name))
    throw new InvalidArgumentError(`"${name}" is no name: letters, digits, "_" and "-".`);
  return [...earlier, { name, paths: paths.split(",") }];
}

async function init(domain: string | undefined, options: InitOptions): Promise<void> {
  const { output, force } = options;
  if (existsSync(output) && !force)
    throw new Error(`${output} is there already. Give --force, or another --output.`);
  const wanted = [...options.domain];
  if (domain !== undefined) wanted.unshift({ name: domainName(domain), paths: [domain] });
  if (wanted.length === 0) {
    throw new Error(
      "No domain is given. Name the text to specialise on: slm init path, or --domain name=path.",
    );
  }
  const unknown = options.validation.find(({ name }) => wanted.every((each) => each.name !== name));
  if (unknown)
    throw new Error(
      `--validation ${unknown.name}: there is no domain of this name. Add --domain ${unknown.name}=path.`,
    );
  const folder = dirname(resolve(output));
  const asked = new Map<string, FileSet>();
  const ask = async (name: string, paths: readonly string[]) => {
    if (paths.length > 0) asked.set(name, { name, paths: await Promise.all(paths.map(textPath)) });
  };
  await ask(CORPUS, options.corpus);
  const names = new Set(wanted.map((each) => each.name));
  for (const name of names) {
    await ask(name, pathsOf(name, wanted));
    await ask(validationOf(name), pathsOf(name, options.validation));
  }
  const textField = await commonTextField([...asked.values()]);
  /* paths in the file start from its folder */
  const look = async (name: string): Promise<FilesFound | undefined> => {
    const set = asked.get(name);
    if (set === undefined) return undefined;
    const found = await lookAt(set, textField);
    return { ...found, paths: found.paths.map((path) => nearest(folder, path)) };
  };
  const domains: Record<string, { train: FilesFound; validation?: FilesFound }> = {};
  for (const name of names) {
    const validation = await look(validationOf(name));
    domains[name] = { train: (await look(name))!, ...(validation && { validation }) };
  }
  const corpus = await look(CORPUS);
  const name = options.name ?? wanted[0].name;
  const text = forgeTemplate({ name, corpus, domains });
  loadForge(output, [], text);
  writeFileAtomically(output, text);
  if (options.json) {
    printJson({ file: resolve(output), name, corpus: corpus ?? null, domains });
    return;
  }
  const slm = commandName();
  console.log(`wrote ${output}`);
  if (corpus === undefined)
    console.log(`Fill in corpus.train (${MISSING_CORPUS}): much general text, in which the domain occurs.`);
  console.log(
    `${corpus === undefined ? "Then" : "Next"}: ${slm} run ${output} --dry-run, then ${slm} run ${output}`,
  );
}

/** What the text of a domain that is named more than once lies in. */
function pathsOf(name: string, sets: readonly NamedPaths[]): string[] {
  return sets.filter((each) => each.name === name).flatMap(({ paths }) => paths);
}

function validationOf(domain: string): string {
  return `${domain} validation`;
}

function nearest(folder: string, path: string): string {
  const near = relative(folder, resolve(path)).replaceAll("\\", "/");
  return near.startsWith("../../") ? resolve(path) : near || ".";
}
