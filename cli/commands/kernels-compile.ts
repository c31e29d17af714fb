/** `slm kernels compile`: whether a WGSL file compiles on this adapter, for files of anybody. */
import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import { type Command, InvalidArgumentError } from "commander";
import { checkShader, formatDiagnostics, withGpu } from "../../engine/gpu/index.js";
import type { Tunables } from "../../engine/gpu/wgsl.js";
import { ExitCode } from "../exit.js";
import { readShader, shaderFile } from "./kernels-text.js";

interface CompileOptions {
  readonly stdin?: boolean;
  readonly adapter?: string;
  readonly json?: boolean;
  readonly define?: Tunables;
}

export function registerKernelsCompile(kernels: Command): void {
  kernels
    .command("compile")
    .description(
      "compile any WGSL file, as it stands or with other constants, down to the driver's pipelines",
    )
    .argument("<file>", "a .wgsl file, of the engine or your own")
    .option("--stdin", "compile the text on standard input in place of the file's, as an editor holds it")
    .option(
      "--define <NAME=value>",
      "replace a constant's value or an alias's type, as in TILE_K=16 or Real=f16; repeatable",
      parseDefine,
    )
    .option("--json", "print JSON")
    .option("--adapter <name>", "adapter, by name or index")
    .action(compile);
}

async function compile(name: string, { stdin, adapter, json, define }: CompileOptions): Promise<void> {
  const file = stdin ? name : shaderFile(name);
  const source = stdin ? await text(process.stdin) : readShader(file);
  await withGpu({ adapter }, async (gpu) => {
    const { diagnostics, entryPoints } = await checkShader(gpu, file, source, define);
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

/** Numbers and truth values are constants; anything else is the type of an alias. */
function parseDefine(given: string, before: Tunables = {}): Tunables {
  const [, name, value] = /^(\w+)=(\S.*)$/.exec(given) ?? [];
  if (name === undefined) throw new InvalidArgumentError("NAME=value, as in TILE_K=16 or Real=f16.");
  const number = Number(value.replace(/^(\d+)[ui]$/, "$1"));
  if (value !== "true" && value !== "false" && !Number.isFinite(number))
    return { ...before, types: { ...before.types, [name]: value } };
  const constant = Number.isFinite(number) ? number : value === "true";
  return { ...before, constants: { ...before.constants, [name]: constant } };
}
