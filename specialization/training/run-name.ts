/** Names of runs and jobs, which are names of folders. */

/** A name of a run, as near to a text as such names allow; undefined where it does not begin like one. */
export function runNameOf(text: string): string | undefined {
  const name = text.replace(/[^A-Za-z0-9._-]+/g, "-");
  return /^[A-Za-z0-9]/.test(name) ? name.slice(0, 100) : undefined;
}
