/** The error of run folders: which path, what is wrong, what to do. */

export class RunError extends Error {
  constructor(
    /** File or folder concerned. */
    readonly path: string,
    readonly reason: string,
    readonly remedy: string,
    options?: { cause?: unknown },
  ) {
    super(`${path}: ${reason}. ${remedy}.`, options);
    this.name = "RunError";
  }
}

const KNOWN: Readonly<Record<string, readonly [reason: string, remedy: string]>> = {
  ENOSPC: [
    "the disk is full",
    "Free some space, or set output.runs to a folder on another disk; then resume the run",
  ],
  EDQUOT: [
    "the disk quota is used up",
    "Free some space, or set output.runs to a folder elsewhere; then resume the run",
  ],
  EROFS: ["the file system is read-only", "Set output.runs to a folder that can be written"],
  EACCES: ["permission is denied", "Change the permissions, or set output.runs to a folder of your own"],
  EPERM: [
    "the operation is not permitted",
    "Change the permissions, or set output.runs to a folder of your own",
  ],
  ENOTDIR: ["a part of the path is a file, not a folder", "Choose another folder"],
  EEXIST: ["a file is in its place", "Move it, or choose another folder"],
  ENOENT: ["it does not exist", "Check the path"],
  EMFILE: ["too many files are open", "Raise the limit with ulimit -n"],
};

/** A RunError for a failed file operation: "cannot be written: the disk is full". */
export function fileFailure(path: string, action: string, error: unknown): RunError {
  if (error instanceof RunError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const [reason, remedy] = KNOWN[code ?? ""] ?? [message, "Check the path and the disk"];
  return new RunError(path, `cannot be ${action}: ${reason}`, remedy, { cause: error });
}
