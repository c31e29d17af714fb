// How the set-up speaks: lines on stderr with a prefix, and one error type for what the user has to mend.

/** A condition that the set-up cannot mend by itself; the message says what to do. */
export class SetupError extends Error {}

/** Prints a message on stderr; further lines are indented under the first. */
export function say(message) {
  if (message) console.error(`setup: ${message.replaceAll("\n", "\n  ")}`);
}
