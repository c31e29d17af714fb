/**
 * Which process this is, and whether another one still runs. A process id alone will not do: ids are given again, so
 * the start time belongs to it.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";

/** Names a process among all that ever ran on a machine. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly host: string;
  /** Start time in the terms of the system; empty where it cannot be told. */
  readonly start: string;
}

let own: ProcessIdentity | undefined;

export function ownProcess(): ProcessIdentity {
  own ??= { pid: process.pid, host: hostname(), start: startTime(process.pid) ?? "" };
  return own;
}

/** Whether a process runs; undefined when it belongs to another machine, which cannot be asked. */
export function isRunning({ pid, host, start }: ProcessIdentity): boolean | undefined {
  if (host !== hostname()) return undefined;
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    /* EPERM: there is one, of another user */
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  const now = startTime(pid);
  return now === undefined ? false : start === "" || now === "" || now === start;
}

/** When a process started; undefined when it has ended, empty when this system does not tell. */
function startTime(pid: number): string | undefined {
  if (process.platform === "linux") return linuxStartTime(pid);
  if (process.platform !== "darwin") return "";
  try {
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    /* ps exits with 1 when there is no such process */
    return undefined;
  }
}

/** Boot and clock ticks since then (proc_pid_stat(5), fields 3 and 22). */
function linuxStartTime(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch (error) {
    /* ESRCH: ended between opening and reading; anything else, such as a /proc that is hidden, tells nothing */
    const { code } = error as NodeJS.ErrnoException;
    return code === "ENOENT" || code === "ESRCH" ? undefined : "";
  }
  /* the second field is the program's name in parentheses, and may hold anything */
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const hasEnded = fields[0] === "Z" || fields[0] === "X";
  return hasEnded ? undefined : `${bootId()} ${fields[19]}`;
}

function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    /* not in every sandbox; the ticks alone tell processes of one boot apart */
    return "";
  }
}
