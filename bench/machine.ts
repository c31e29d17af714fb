// What a published figure must name: the machine, the driver, the versions and the command.

import { execFileSync } from "node:child_process";
import { availableParallelism, cpus, loadavg, totalmem } from "node:os";
import { relative } from "node:path";
import { packageRoot, version } from "../cli/version.js";
import { dawnVersion, formatBytes, type Gpu, inspectHost } from "../engine/index.js";

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memory: string;
  readonly system: string;
  readonly node: string;
  readonly dawn: string;
  readonly adapter: string;
  readonly kind: string;
  readonly revision: string;
  readonly command: string;
  /** Load average of the last minute when the measurement began: above the load of an idle machine, distrust the clock. */
  readonly load: number;
}

/** Facts of this process and of the adapter that it measures. */
export function describeMachine(gpu?: Gpu): Machine {
  const { distribution } = inspectHost();
  const script = relative(process.cwd(), process.argv[1] ?? "");
  return {
    processor: cpus()[0]?.model.trim() ?? process.arch,
    cores: availableParallelism(),
    memory: formatBytes(totalmem()),
    system: distribution?.name ?? `${process.platform} ${process.arch}`,
    node: process.version,
    dawn: `npm webgpu ${dawnVersion() ?? "(bare binary)"}`,
    adapter: gpu?.adapter.driver ?? "none",
    kind: gpu?.adapter.kind ?? "none",
    revision: `slm-forge ${version()}${revision()}`,
    command: ["node", script, ...process.argv.slice(2)].join(" "),
    load: loadavg()[0],
  };
}

/** Lines for people and for docs/benchmarks.md. */
export function formatMachine(m: Machine): string {
  const adapter = m.kind === "none" ? [] : [`${m.adapter} (${m.kind}), ${m.dawn}`];
  return [
    `${m.processor}, ${m.cores} cores, ${m.memory}; ${m.system}; Node ${m.node}`,
    ...adapter,
    `${m.revision}; load average ${m.load.toFixed(1)} at the start`,
    `command: ${m.command}`,
  ].join("\n");
}

/** ", revision abc1234" in a checkout; nothing in an installed package, which has no history. */
function revision(): string {
  try {
    const git = (...args: string[]) =>
      execFileSync("git", ["-C", packageRoot(), ...args], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      }).trim();
    return `, revision ${git("rev-parse", "--short", "HEAD")}`;
  } catch {
    return "";
  }
}
