/** Which files are configurations of ours: by name, else by the keys that only they have. */
import { basename } from "node:path";

/** forge: of the whole job; train: of one training. */
export type ConfigKind = "forge" | "train";

/** The kind of a YAML file, which may be half written; undefined for other people's files. */
export function configKindOf(path: string, text: string): ConfigKind | undefined {
  const name = basename(path);
  if (/^(?:.+\.)?forge\.ya?ml$/i.test(name)) return "forge";
  const keys = new Set([...text.matchAll(/^([A-Za-z]+)[ \t]*:/gm)].map(([, key]) => key));
  if (/^(?:.+\.)?train\.ya?ml$/i.test(name) && !keys.has("corpus")) return "train";
  const isOurs = (others: readonly string[]) => others.some((key) => keys.has(key));
  if (keys.has("data")) return isOurs(["model", "training", "tokenizer"]) ? "train" : undefined;
  if (keys.has("corpus") && keys.has("domains")) return "forge";
  return keys.has("corpus") || keys.has("domains")
    ? isOurs(["methods", "pretraining", "fineTuning", "clusters"])
      ? "forge"
      : undefined
    : undefined;
}
