/** `slm kernels compile`: whether a WGSL file compiles on this adapter, for files of anybody. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import type { Command } from "commander";
import { checkShader, formatDiagnostics, withGpu } from "../../engine/gpu/index.js";
import { ExitCode } from "../exit.js";

/** Larger files are no shaders. */
const MOST_BYTES = 4 * 2 ** 20;

interface CompileOptions {
  readonly stdin?: boolean;
  readonly adapter?: string;
  readonly json?: boolean;
}

export function registerKernelsCompile(kernels: Command): void {
  kernels
    .command("compile")
    .description("compile any WGSL file as it stands, down to the driver's pipelines")
    .argument("<file>", "a .wgsl file, of the engine or your own")
    .option("--stdin", "compile the text on standard input in place of the file's, as an editor holds it")
    .option("--json", "print JSON")
    .option("--adapter <name>", "adapter, by name or index")
    .action(compile);
}

async function compile(file: string, { stdin, adapter, json }: CompileOptions): Promise<void> {
  const source = stdin ? await text(process.stdin) : read(file);
  await withGpu({ adapter }, async (gpu) => {
    const { diagnostics, entryPoints } = await checkShader(gpu, file, source);
    const isBroken = diagnostics.some(({ severity }) => severity === "error");
    if (json)
      console.log(
        JSON.stringify({ file: resolve(file), adapter: gpu.adapter.name, diagnostics, entryPoints }, null, 2),
      );
    else {
      if (diagnostics.length > 0) console.log(formatDiagnostics(diagnostics));
      const points = entryPoints.map(({ name }) => name).join(", ");
      if (!isBroken)
        console.log(`ok  ${file}: ${points || "no compute entry points"} on ${gpu.adapter.name}`);
    }
    if (isBroken) throw new ExitCode(1);
  });
}

function read(file: string): string {
  if (!existsSync(file)) throw new Error(`There is no file ${file}.`);
  const attributes = statSync(file);
  if (!attributes.isFile() || attributes.size > MOST_BYTES)
    throw new Error(`${file} is no WGSL file. Give a text of at most ${MOST_BYTES} bytes.`);
  return readFileSync(file, "utf8");
}
