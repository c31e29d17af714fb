/** What Dawn says, fit to be part of a message. */

/**
 * A message of Dawn's without its native call frames ("    at CheckVkSuccessImpl (/home/…/VulkanError.cpp:106)"), which
 * look like a crash of this program and help nobody who did not build Dawn.
 */
export function withoutNativeFrames(message: string): string {
  return message
    .split("\n")
    .filter((line) => !/^\s+at \S+ \(.*:\d+\)\s*$/.test(line))
    .join("\n")
    .trim();
}
