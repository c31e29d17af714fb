/**
 * Who may speak with the board: whoever holds the token of its address. Another site open in the same browser does not,
 * and is told apart a second time by Host and Origin, so that neither a guessed address nor a rebound name helps it.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";

export function newToken(): string {
  return randomBytes(24).toString("base64url");
}

export interface Admission {
  readonly token: string;
  /** host:port that the board is called by. */
  readonly hosts: ReadonlySet<string>;
}

/** Names by which a server is called that listens on `host` and `port`. */
export function hostNames(host: string, port: number): Set<string> {
  const bracketed = host.includes(":") ? `[${host}]` : host;
  return new Set([bracketed, "127.0.0.1", "localhost", "[::1]"].map((name) => `${name}:${port}`));
}

/** The address of a request, or why it is refused. */
export function admit(request: IncomingMessage, { token, hosts }: Admission): URL | string {
  const { host, origin } = request.headers;
  if (host === undefined || !hosts.has(host.toLowerCase())) return "The board is not called by this name.";
  if (origin !== undefined && !hosts.has(origin.toLowerCase().replace(/^https?:\/\//, "")))
    return "Requests of other sites are refused.";
  let address: URL;
  try {
    address = new URL(request.url ?? "/", `http://${host}`);
  } catch {
    return "This is no address.";
  }
  const given = address.searchParams.get("token") ?? "";
  if (!equalInConstantTime(given, token))
    return "The token is missing or wrong. Open the address that slm board printed, with all that follows token=.";
  return address;
}

/** Hashes have equal lengths, whatever is compared. */
function equalInConstantTime(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
