// Errors of the tokenizer and of token shards: each names the file, the key, the value and the remedy.

/** What an error about a file can say. */
export interface FileProblem {
  /** The file, or a description of where the content came from. */
  file: string;
  /** Path of the key inside the file, such as `model.merges[12]`. */
  key?: string;
  /** The offending value; long values are cut in the message. */
  value?: unknown;
  /** What is wrong. */
  problem: string;
  /** What the user can do about it. */
  remedy: string;
}

const SHOWN_CHARACTERS = 80;

function shown(value: unknown): string {
  const text = typeof value === "bigint" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}

function describe({ file, key, problem, remedy, ...rest }: FileProblem): string {
  const value = "value" in rest ? ` (got ${shown(rest.value)})` : "";
  return `${file}: ${key === undefined ? "" : `${key}: `}${problem}${value}. ${remedy}`;
}

/** A tokenizer that cannot be read, trained or used. */
export class TokenizerError extends Error {
  override readonly name: string = "TokenizerError";
  readonly file: string;
  readonly key: string | undefined;
  readonly value: unknown;
  readonly remedy: string;

  constructor(problem: FileProblem, options?: ErrorOptions) {
    super(describe(problem), options);
    this.file = problem.file;
    this.key = problem.key;
    this.value = problem.value;
    this.remedy = problem.remedy;
  }
}

/** Token shards that cannot be written or read: truncated, altered, of another version, or in use. */
export class TokenShardsError extends TokenizerError {
  override readonly name = "TokenShardsError";
}
