/** The reference of training configurations, and its page docs/configuration.md. */
import { ConfigReference, presetSection } from "./config-reference.js";
import { runConfigSchema } from "./config-schema.js";

export const RUN_REFERENCE = new ConfigReference("slm-forge training configuration", runConfigSchema);

/** docs/configuration.md. */
export function configurationPage(): string {
  const lines = [
    "# Configuration",
    "",
    "<!-- Generated from specialization/training/config-schema.ts: slm config reference > docs/configuration.md -->",
    "",
    "`slm train config.yaml` reads a YAML file; `--set key=value` (repeatable, values are YAML) overrides single keys.",
    "Only `data.train` is required:",
    "",
    "```yaml",
    "data:",
    "  train: corpus/*.jsonl",
    "model:",
    "  preset: mini",
    "training:",
    "  budget: { tokens: 50e6 }",
    "```",
    "",
    "Relative paths start from the folder of the configuration file; those given with `--set`, from the current folder.",
    "A name that does not exist, a wrong type and keys that exclude each other are refused before anything is read.",
    "`slm config check config.yaml` only checks; `slm config schema` prints a JSON Schema, so that an editor completes",
    "keys and marks mistakes:",
    "",
    "```yaml",
    "# yaml-language-server: $schema=slm.schema.json",
    "```",
    "",
    ...RUN_REFERENCE.sections({ title: "Run", text: "Keys of the run as a whole." }),
    ...presetSection(),
  ];
  return `${lines.join("\n")}\n`;
}
