/** `slm kernels list`: what kernels there are, also where there is no adapter to run them. */
import { relative } from "node:path";
import { type Gpu, NoAdapterError, shaderPath, withGpu } from "../../engine/gpu/index.js";
import { KERNELS, type KernelCase, targetOf } from "../../engine/kernels/index.js";
import { Random } from "../../engine/random.js";
import { printJson } from "../print-json.js";
import { formatCount } from "../table.js";
import { filesOf, runsOn } from "./kernels-selection.js";

interface ListOptions {
  readonly json?: boolean;
  readonly adapter?: string;
}

/** Draws nothing: the work of a problem depends on its shape alone. */
class Blank extends Random {
  override normals(count: number): Float32Array {
    return new Float32Array(count);
  }
}

/** `slm kernels list`. */
export async function list(options: ListOptions): Promise<void> {
  try {
    await withGpu({ adapter: options.adapter }, async (gpu) => print(gpu, options));
  } catch (error) {
    const isChosen = options.adapter !== undefined || process.env.SLM_ADAPTER;
    if (!(error instanceof NoAdapterError) || isChosen) throw error;
    await withGpu({ backend: "null" }, async (gpu) => print(gpu, options));
  }
}

function print(gpu: Gpu, { json }: ListOptions): void {
  const isNull = gpu.adapter.kind === "null";
  /* on the null backend nothing is timed, so the smaller problems will do */
  const target = { ...targetOf(gpu), ...(isNull && { software: true }) };
  const rows = KERNELS.map((k) => {
    const variant = k.variants.find((v) => runsOn(gpu, v)) ?? k.variants[0];
    const context = { target, random: new Blank(1), variant: variant.name, real: variant.reals[0] };
    const problem = k.benchmark(context);
    return {
      name: k.name,
      formula: k.formula,
      variants: k.variants.map((v) => ({
        name: v.name,
        purpose: v.purpose,
        file: shown(v.file),
        files: filesOf(v).map(shown),
        types: v.reals,
        runs: runsOn(gpu, v),
      })),
      problem: problem.label,
      flops: sum(problem, "flops"),
      bytes: sum(problem, "bytes"),
    };
  });
  if (json) {
    printJson(rows);
    return;
  }
  for (const row of rows) {
    console.log(`${row.name}\n  ${row.formula}`);
    for (const v of row.variants) {
      console.log(`  ${v.runs ? "•" : "×"} ${v.name} (${v.types.join(", ")}): ${v.purpose}; ${v.file}`);
    }
    console.log(`  ${row.problem}: ${formatCount(row.flops, "FLOP")}, ${formatCount(row.bytes, "B")}\n`);
  }
  console.log(
    isNull
      ? "× compiles only: there is no graphics adapter to run it; `slm doctor` says what is missing"
      : `• runs on ${gpu.adapter.name}   × compiles only`,
  );
}

function shown(file: string): string {
  const short = relative(process.cwd(), shaderPath(file));
  return short.startsWith("..") ? shaderPath(file) : short;
}

function sum(problem: KernelCase, key: "flops" | "bytes"): number {
  return problem.calls.reduce((total, c) => total + c[key], 0);
}
