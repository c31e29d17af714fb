/** The conversation between the form of a configuration and the editor. */
import type { KeyPath, SchemaNode } from "../language/schema.js";

export interface FormProblem {
  /** Dotted key; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
  readonly isError: boolean;
}

/** The file as it is now. */
export interface FormState {
  readonly type: "form";
  readonly name: string;
  readonly kind: "forge" | "train";
  readonly schema: SchemaNode;
  readonly values: unknown;
  readonly problems: readonly FormProblem[];
}

export type ToForm =
  | FormState
  /** The file cannot be shown as a form: why. */
  | { readonly type: "unreadable"; readonly message: string };

export type FromForm =
  | { readonly type: "ready" }
  /** The key is removed where there is no value. */
  | { readonly type: "change"; readonly path: KeyPath; readonly value?: unknown }
  | { readonly type: "command"; readonly command: "run" | "plan" | "dryRun" | "text" };

/** Whether a message from a page is one of the form's. */
export function isFromForm(message: unknown): message is FromForm {
  if (typeof message !== "object" || message === null) return false;
  const { type, path, command } = message as Record<string, unknown>;
  if (type === "ready") return true;
  if (type === "command") return ["run", "plan", "dryRun", "text"].includes(command as string);
  return (
    type === "change" &&
    Array.isArray(path) &&
    path.length > 0 &&
    path.every((key) => typeof key === "string" && key !== "")
  );
}
