/** `slm doctor`: what this machine has for training, whether it works, and the remedy for what is missing. */
import type { Command } from "commander";
import {
  type AdapterDescription,
  type AdapterSummary,
  type Backend,
  chooseAdapter,
  dawnVersion,
  defaultBackend,
  diagnose,
  formatBytes,
  type Gpu,
  gpuSigns,
  type HostFacts,
  inspectHost,
  listAdapters,
  openedInstead,
  openGpu,
  UnsupportedError,
} from "../../engine/gpu/index.js";
import { withoutNativeFrames } from "../../engine/gpu/native-message.js";
import { type Ceilings, measureCeilings } from "../../engine/kernels/index.js";
import { checkDispatches, type DispatchCheck } from "../dispatch-check.js";
import { ExitCode } from "../exit.js";
import { formatCount } from "../table.js";
import { version } from "../version.js";

interface DoctorOptions {
  readonly json?: boolean;
  readonly adapter?: string;
}

interface Problem {
  /** Stable name, for scripts. */
  readonly code: string;
  readonly problem: string;
  readonly remedy: string;
}

interface AdapterReport {
  readonly index: number;
  readonly name: string;
  /** The one that training takes without being told. */
  readonly chosen: boolean;
  readonly description?: AdapterDescription;
  /** Answers of its kernels. */
  readonly dispatch?: DispatchCheck;
  readonly ceilings?: Ceilings;
  /** What went wrong, where the adapter could not be used to the end. */
  readonly error?: string;
  /** The adapter that Dawn opens in place of this one, which is therefore not examined. */
  readonly openedInstead?: number;
}

interface Report {
  readonly version: string;
  readonly host: HostFacts;
  readonly dawn: { readonly version: string | null; readonly loads: boolean };
  readonly gpus: ReturnType<typeof gpuSigns>;
  readonly adapters: readonly AdapterReport[];
  readonly problems: readonly Problem[];
  readonly trains: boolean;
}

const OLDEST_NODE = [20, 19] as const;

export function registerDoctor(program: Command): void {
  program
    .command("doctor")
    .description("what this machine has for training, whether it works, and what to do where it does not")
    .option("--json", "print JSON")
    .option("--adapter <name>", "the adapter that has to work, by name or index")
    .action(doctor);
}

async function doctor(options: DoctorOptions): Promise<void> {
  const report = await examine(options);
  console.log(options.json ? JSON.stringify(report, null, 2) : describe(report));
  if (!report.trains) throw new ExitCode(1);
}

async function examine(options: DoctorOptions): Promise<Report> {
  const host = inspectHost();
  const problems: Problem[] = nodeProblems();
  const adapters: AdapterReport[] = [];
  const backend = (process.env.SLM_BACKEND || undefined) as Backend | undefined;
  let all: readonly AdapterSummary[] | undefined;
  try {
    all = await listAdapters(backend);
  } catch (error) {
    problems.push(doesNotLoad(error as Error));
  }
  const loads = all !== undefined;
  let chosen: AdapterSummary | undefined;
  try {
    if (all && all.length > 0) chosen = await chooseAdapter({ adapter: options.adapter });
  } catch (error) {
    problems.push(wrongChoice(error as Error));
  }
  for (const adapter of all ?? []) {
    const { index, name } = adapter;
    const other = openedInstead(all!, adapter);
    adapters.push(
      other
        ? { index, name, chosen: false, openedInstead: other.index }
        : await examineAdapter(index, name, index === chosen?.index),
    );
  }
  const kinds = adapters.flatMap(({ description: d }) => (d && d.kind !== "null" ? [{ kind: d.kind }] : []));
  const found = diagnose(host, kinds);
  /* What is missing of Vulkan explains nothing while Dawn itself does not load, or is told to use something else. */
  if (backend === "null" || (backend !== undefined && backend !== defaultBackend() && adapters.length === 0))
    problems.push(wrongBackend(backend));
  else if (loads) problems.push(...found);
  else problems.unshift(...found.filter((p) => p.code === "musl" || p.code === "old-glibc"));
  for (const a of adapters) {
    if (a.error !== undefined) problems.push(failed(a, a.error));
    else if (a.dispatch?.passed === false) problems.push(wrongAnswers(a));
  }
  const usable = adapters.some((a) => a.chosen && a.dispatch?.passed && a.error === undefined);
  const oldNode = problems.some((p) => p.code === "old-node");
  return {
    version: version(),
    host,
    dawn: { version: dawnVersion() ?? null, loads },
    gpus: gpuSigns(host),
    adapters,
    problems,
    trains: usable && !oldNode,
  };
}

async function examineAdapter(index: number, name: string, chosen: boolean): Promise<AdapterReport> {
  let gpu: Gpu | undefined;
  let report: AdapterReport = { index, name, chosen };
  try {
    gpu = await openGpu({ adapter: index });
    report = { ...report, description: gpu.adapter };
    if (gpu.adapter.kind === "null") return report;
    report = { ...report, dispatch: await checkDispatches(gpu) };
    return { ...report, ceilings: await measureCeilings(gpu) };
  } catch (error) {
    return { ...report, error: withoutNativeFrames((error as Error).message) };
  } finally {
    gpu?.dispose();
  }
}

function nodeProblems(): Problem[] {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return [];
  return [
    {
      code: "old-node",
      problem: `Node ${process.versions.node} is too old; ${OLDEST_NODE.join(".")} or newer is needed`,
      remedy: "install a current release from https://nodejs.org or with a version manager",
    },
  ];
}

function doesNotLoad(error: Error): Problem {
  const folder = process.env.WEBGPU_DIST;
  return {
    code: "dawn-does-not-load",
    problem: `Dawn does not load: ${((error.cause as Error | undefined) ?? error).message.split("\n")[0]}`,
    remedy: folder
      ? `unset WEBGPU_DIST, or let it name a folder that holds dawn.node (now ${folder})`
      : "run `npm ci`, which installs Dawn's binary for this system anew",
  };
}

function wrongBackend(backend: string): Problem {
  return {
    code: "backend-override",
    problem:
      backend === "null"
        ? "SLM_BACKEND=null: the null backend only compiles kernels, and runs nothing"
        : `SLM_BACKEND=${backend}: there is no adapter of this backend`,
    remedy: `unset SLM_BACKEND; this system's own backend is ${defaultBackend()}`,
  };
}

function wrongChoice(error: Error): Problem {
  if (error instanceof UnsupportedError) {
    const [problem, remedy] = error.message.split("\n");
    return { code: "adapter-cannot-be-opened", problem, remedy };
  }
  return {
    code: "no-such-adapter",
    problem: error.message.split(" Available:")[0],
    remedy: "give --adapter or SLM_ADAPTER the index or part of the name of an adapter in this list",
  };
}

function failed(adapter: AdapterReport, message: string): Problem {
  return {
    code: "adapter-fails",
    problem: `${adapter.name}: ${message}`,
    remedy: "update its driver, or choose another adapter with --adapter or SLM_ADAPTER",
  };
}

function wrongAnswers(adapter: AdapterReport): Problem {
  return {
    code: "wrong-answers",
    problem: `${adapter.name} computes wrongly: ${adapter.dispatch!.failures.join("; ")}`,
    remedy: "update its driver, or choose another adapter with --adapter or SLM_ADAPTER",
  };
}

/** The report for people. */
function describe(report: Report): string {
  const { host, dawn } = report;
  const system = host.distribution?.name ?? host.platform;
  const loader = host.vulkanLoader;
  const lines = [
    `slm-forge ${report.version} on ${system}, ${host.architecture}${host.container ? `, in ${host.container}` : ""}`,
    "",
    row("Node", process.versions.node),
    ...(host.platform === "linux"
      ? [row("C library", `${host.cLibrary.family} ${host.cLibrary.version ?? ""}`)]
      : []),
    row(
      "Dawn",
      `${dawn.version ? `webgpu ${dawn.version}` : "from WEBGPU_DIST"}${dawn.loads ? "" : ", does not load"}`,
    ),
    ...(host.platform === "linux"
      ? [
          row("Vulkan loader", loader ? `${loader.version ?? "version unknown"}  ${loader.path}` : "missing"),
          ...table("Drivers", host.drivers.map(describeDriver)),
          ...table(
            "Graphics",
            report.gpus.map((g) => `${g.description}${g.given ? "" : ", not accessible here"}`),
          ),
        ]
      : []),
  ];
  for (const adapter of report.adapters) lines.push("", ...describeAdapter(adapter));
  if (report.problems.length > 0) {
    lines.push("", report.trains ? "What could be better" : "What is wrong");
    for (const p of report.problems) lines.push(`  ! ${p.problem}`, `    → ${p.remedy}`);
  }
  const used = report.adapters.find((a) => a.chosen);
  lines.push("", report.trains ? `Training works here, on ${used!.name}.` : "Training does not work here.");
  return lines.join("\n");
}

function describeDriver(driver: HostFacts["drivers"][number]): string {
  const state = driver.libraryPath ? "" : " (library missing)";
  return `${driver.library.replace(/^.*\//, "")}${state}, Vulkan ${driver.apiVersion ?? "?"}  ${driver.manifest}`;
}

const KINDS = { gpu: "GPU", software: "software", null: "compiles only" } as const;

function describeAdapter(report: AdapterReport): string[] {
  const { description: d, dispatch, ceilings, error, openedInstead: other } = report;
  const lines = [`Adapter ${report.index}: ${report.name}${report.chosen ? "  (the one used)" : ""}`];
  if (d) {
    const { limits } = d;
    const subgroups =
      d.subgroupMinSize === d.subgroupMaxSize
        ? `${d.subgroupMinSize}`
        : `${d.subgroupMinSize} to ${d.subgroupMaxSize}`;
    lines.push(
      row(
        "kind",
        `${KINDS[d.kind]}, ${d.backend}${d.vendor ? `, vendor ${d.vendor}` : ""}${d.architecture ? `, ${d.architecture}` : ""}`,
      ),
      row("driver", d.driver || "unknown"),
      ...table("features", wrap(d.features)),
      row("subgroups", d.subgroupMaxSize > 0 ? `${subgroups} invocations` : "none"),
      ...table(
        "matrices",
        d.subgroupMatrices.map(
          (m) => `${m.componentType} → ${m.resultComponentType}  ${m.M} × ${m.N} × ${m.K}`,
        ),
      ),
      row(
        "memory",
        `buffers up to ${formatBytes(limits.maxBufferSize)}, bindings up to ${formatBytes(limits.maxStorageBufferBindingSize)}`,
      ),
      row(
        "workgroups",
        `${limits.maxComputeInvocationsPerWorkgroup} invocations, ${formatBytes(limits.maxComputeWorkgroupStorageSize)} of memory, ` +
          `${limits.maxStorageBuffersPerShaderStage} buffers, ${limits.maxComputeWorkgroupsPerDimension} a dimension`,
      ),
    );
  }
  if (dispatch) {
    const verdict = dispatch.passed ? "correct" : `WRONG in ${dispatch.failures.length}`;
    lines.push(
      row(
        "dispatches",
        `${verdict}, ${dispatch.problems} problems, worst error ${dispatch.worstError.toExponential(1)}`,
      ),
    );
  }
  if (ceilings) {
    lines.push(
      row("multiply-add", `${formatCount(ceilings.flops, "FLOP/s")} in f32`),
      row("copy", `${formatCount(ceilings.bytes, "B")}/s, read and written`),
    );
  }
  if (error !== undefined) lines.push(row("failed", error.split("\n")[0]));
  if (other !== undefined)
    lines.push(row("not examined", `Dawn finds adapters by name, and opens adapter ${other} for this one`));
  return lines;
}

const INDENT = 16;

function row(title: string, text: string): string {
  return `  ${title.padEnd(INDENT - 2)}${text}`;
}

/** The first line beside the title, the others under it. */
function table(title: string, texts: readonly string[]): string[] {
  return (texts.length > 0 ? texts : ["none"]).map((text, i) => row(i === 0 ? title : "", text));
}

/** Names joined into lines of at most 100 columns. */
function wrap(names: readonly string[]): string[] {
  const lines: string[] = [];
  for (const name of names) {
    const last = lines.at(-1);
    if (last !== undefined && INDENT + last.length + name.length + 2 <= 100)
      lines[lines.length - 1] = `${last}, ${name}`;
    else lines.push(name);
  }
  return lines;
}
