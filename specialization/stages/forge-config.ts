/** forge.yaml, the configuration of the whole job: read, checked in full, completed; and its reference page. */
import { resolve } from "node:path";
import { stringify } from "yaml";
import { ConfigError, type ConfigProblem } from "../training/config-error.js";
import {
  type ConfigKind,
  examineConfig,
  type LoadedFile,
  located,
  readConfigFile,
} from "../training/config-file.js";
import { KNOWN_ELSEWHERE } from "../training/config-problems.js";
import { ConfigReference, presetSection } from "../training/config-reference.js";
import { getAt, readConfigSource } from "../training/config-source.js";
import { type ForgeConfig, resolveForge } from "./forge-resolve.js";
import { type ForgeConfigInput, forgeSchema, type ParsedForgeConfig } from "./forge-schema.js";

export type { ForgeConfig } from "./forge-resolve.js";
export type { ForgeConfigInput } from "./forge-schema.js";

export const FORGE_REFERENCE = new ConfigReference("slm-forge job", forgeSchema);

/** Names that other tools, and configurations of single trainings, use for keys of a job. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    Object.entries(KNOWN_ELSEWHERE).map(([name, path]) => [
      name,
      path
        .replace(/^training\.(adapter|precision)$/, "device.$1")
        .replace(/^training\./, "pretraining.")
        .replace(/^output\.runs$/, "output.folder"),
    ]),
  ),
  data: "corpus",
  training: "pretraining",
  domain: "domains",
};

const FORGE_KIND: ConfigKind<ParsedForgeConfig, ForgeConfig> = {
  schema: forgeSchema,
  known: {
    reference: FORGE_REFERENCE,
    elsewhere: ELSEWHERE,
    examples: { "corpus.train": "web/*.jsonl" },
  },
  pathKeys: [
    ["corpus", "train"],
    ["corpus", "validation"],
    ["corpus", "vectors"],
    ["corpus", "validationVectors"],
    ["domains", "*", "train"],
    ["domains", "*", "validation"],
    ["domains", "*", "vectors"],
    ["tokenizer", "file"],
    ["embeddings", "encoder"],
    ["output", "folder"],
  ],
  standIns: [
    [["corpus", "train"], "-"],
    [["domains"], { domain: { train: "-" } }],
    [["domains", "*", "train"], "-"],
  ],
  resolve: resolveForge,
};

/** A complete configuration: every default filled in, every path absolute. */
export interface LoadedForge extends LoadedFile<ForgeConfig> {
  readonly source: string | undefined;
}

/**
 * Reads forge.yaml.
 *
 * @param overrides "key.path=value" each, the value in YAML; later ones win
 * @param text of the file where it is not what is on disk
 * @throws ConfigError that lists every problem
 */
export function loadForge(
  path: string | undefined,
  overrides: readonly string[] = [],
  text?: string,
): LoadedForge {
  const { config, ...rest } = readConfigFile(FORGE_KIND, path, overrides, text);
  return { ...rest, config: { ...config, output: { folder: resolve(config.output.folder) } }, source: path };
}

/** Whether a file configures a job rather than one training: by the keys that only one of the two has. */
export function isForgeFile(
  path: string | undefined,
  overrides: readonly string[] = [],
  text?: string,
): boolean {
  const { value } = readConfigSource(path, overrides, [], { text });
  return (
    getAt(value, ["data"]) === undefined &&
    ["corpus", "domains"].some((key) => getAt(value, [key]) !== undefined)
  );
}

/** Checks and completes a job that was made elsewhere; paths stay as they are. @throws ConfigError */
export function completeForge(value: ForgeConfigInput): ForgeConfig {
  const { problems, resolution } = examineConfig(FORGE_KIND, value, "job");
  if (problems.length > 0 || resolution === undefined) throw new ConfigError(problems.map((p) => located(p)));
  return resolution.config;
}

/** Every problem of a job that was read elsewhere; empty when it can be used. */
export function forgeProblems(value: unknown): ConfigProblem[] {
  return examineConfig(FORGE_KIND, value, "job").problems.map((p) => located(p));
}

/** The text of a complete configuration; `loadForge` of it gives the same. */
export function forgeToYaml(config: ForgeConfig): string {
  return stringify(forgeSchema.parse(config), { lineWidth: 0, aliasDuplicateObjects: false });
}

/** docs/forge.md. */
export function forgePage(): string {
  const lines = [
    "# The whole job: forge.yaml",
    "",
    "<!-- Generated from specialization/stages/forge-schema.ts: slm config reference forge > docs/forge.md -->",
    "",
    "The job goes from text to specialised models: ingest, tokenizer, tokens, embeddings, clusters, plan, pretraining,",
    "specialisation, evaluation, report. Only `corpus.train` and one domain are required:",
    "",
    "```yaml",
    "corpus:",
    "  train: corpus/*.jsonl",
    "domains:",
    "  law: { train: law/train.jsonl, validation: law/valid.jsonl }",
    "methods: [slm, slm-is, slm-pn]",
    "pretraining:",
    "  budget: { tokens: 50e6 }",
    "```",
    "",
    "Relative paths start from the folder of the file; those given with `--set`, from the current folder. A name that does",
    "not exist, a wrong type and keys that exclude each other are refused before anything is read. `slm config check`",
    "only checks (with `--inputs` the files, sizes and memory it needs too), and `slm config schema forge` prints a JSON",
    "Schema for editors.",
    "",
    "A domain's validation text is divided by document into two halves: training stops early by the one, and every",
    "perplexity that is reported is of the other.",
    "",
    ...FORGE_REFERENCE.sections({ title: "Job", text: "Keys of the job as a whole." }),
    ...presetSection(),
  ];
  return `${lines.join("\n")}\n`;
}
