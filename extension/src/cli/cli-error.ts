/** What went wrong with `slm`, in words for the person at the editor: what, where and the remedy. */
export class CliError extends Error {
  override readonly name = "CliError";
}
