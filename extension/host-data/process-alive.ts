/** Whether the process of a run or a job lives, asked often: without starting another, unlike run-process.ts. */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";

/** As the files of runs and jobs name it. */
interface WrittenProcess {
  readonly pid: number;
  readonly host: string;
  readonly processStart: string;
}

/** Undefined when the process is another machine's. */
export function isAlive({ pid, host, processStart }: WrittenProcess): boolean | undefined {
  if (host !== hostname()) return undefined;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  if (process.platform !== "linux") return true;
  try {
    /* process ids are given again: the start time, the twentieth field after the name, tells */
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return false;
    return !processStart || processStart.endsWith(` ${fields[19]}`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return !(code === "ENOENT" || code === "ESRCH");
  }
}
