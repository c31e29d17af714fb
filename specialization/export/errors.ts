/** The error of model files (safetensors, Hugging Face folders, GGUF): file, tensor or key, value, what is wrong, remedy. */

/** What an error about a model file can say. */
export interface FormatProblem {
  readonly file: string;
  /** The tensor, or the path of the key inside the file, such as `rope_scaling.type`. */
  readonly key?: string;
  /** The offending value; long values are cut in the message. */
  readonly value?: unknown;
  readonly problem: string;
  /** What the user can do about it, as a sentence. */
  readonly remedy: string;
}

const SHOWN_CHARACTERS = 80;

function shown(value: unknown): string {
  const text = typeof value === "bigint" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}

function describe(problem: FormatProblem): string {
  const key = problem.key === undefined ? "" : `${problem.key}: `;
  const value = "value" in problem ? ` (got ${shown(problem.value)})` : "";
  return `${problem.file}: ${key}${problem.problem}${value}. ${problem.remedy}`;
}

/** A model file that cannot be read or written, or that says something this project cannot run. */
export class FormatError extends Error {
  override readonly name = "FormatError";
  readonly file: string;
  readonly key: string | undefined;
  readonly value: unknown;
  readonly remedy: string;

  constructor(problem: FormatProblem, options?: ErrorOptions) {
    super(describe(problem), options);
    this.file = problem.file;
    this.key = problem.key;
    this.value = problem.value;
    this.remedy = problem.remedy;
  }
}

/** The error for a failed system call on `file`; a full disk is told apart. */
export function fileError(file: string, action: "read" | "written", cause: unknown): FormatError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const remedy =
    code === "ENOSPC" || code === "EDQUOT"
      ? "The disk is full: free some room, or choose another place."
      : code === "ENOENT"
        ? "Check the path."
        : action === "read"
          ? "Check the file and its permissions."
          : "Check that the folder exists, can be written to and has room.";
  return new FormatError({ file, problem: `cannot be ${action}: ${message}`, remedy }, { cause });
}
