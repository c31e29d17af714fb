/** How commands end: with a code, or with an error that a person can act on. */

/** Thrown by a command that has already said what is wrong. */
export class ExitCode extends Error {
  constructor(readonly code: number) {
    super(`exit code ${code}`);
  }
}

/** The message of an error, for people; the stack as well with SLM_DEBUG=1. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return process.env.SLM_DEBUG ? (error.stack ?? error.message) : error.message;
}
