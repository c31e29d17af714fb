/** What to do after the demo: commands that work as they are printed, but for the one path that stands for the user's files. */
import { basename, relative } from "node:path";
import { packageRoot } from "../version.js";

export interface NextStep {
  readonly purpose: string;
  readonly command: string;
}

/** Stands for the user's own files in a command. */
export const OWN_FILES = "path/to/your/files";

export interface DemoRun {
  /** The run's folder, and a file of held-out text. */
  readonly path: string;
  readonly heldOutFile: string;
  readonly steps: number;
}

/** Steps for someone in the current folder. */
export function nextSteps({ path, heldOutFile, steps }: DemoRun): NextStep[] {
  const slm = commandName();
  const run = here(path);
  return [
    {
      purpose: "Train on your own files: a folder of sources or documents, text, JSON Lines or Parquet",
      command: `${slm} train --set name=mine --set data.train=${OWN_FILES} --set training.budget.steps=${steps}`,
    },
    {
      purpose: "First see what that would take: memory, disk, time",
      command: `${slm} train --dry-run --set data.train=${OWN_FILES} --set training.budget.steps=${steps}`,
    },
    {
      purpose: "Let the model continue a text",
      command: `${slm} generate ${run} --prompt "export function " --tokens 100`,
    },
    {
      purpose: "Measure it on text it has not seen; name other files to measure it on those",
      command: `${slm} eval ${run} --set held-out=${here(heldOutFile)}`,
    },
    {
      purpose: "Take it to llama.cpp, or with --format hf to transformers",
      command: `${slm} export ${run} --format gguf --out demo.gguf`,
    },
    {
      purpose: "See all runs; slm runs --help tells how to stop, resume and compare them",
      command: `${slm} runs`,
    },
    {
      purpose: "Read the kernels it ran on, change one, and see whether it is still right",
      command: `${slm} kernels list`,
    },
  ];
}

/** The path as it is shortest to type here, quoted if a shell would take it apart. */
function here(path: string): string {
  const near = relative("", path).replaceAll("\\", "/");
  const shorter = near !== "" && near.length < path.length ? near : path;
  return /^[\w./:\\-]+$/.test(shorter) ? shorter : JSON.stringify(shorter);
}

/** How this command line was started: through npm, by its file, or by its name. */
export function commandName(): string {
  const script = process.argv[1];
  if (process.env.npm_command !== undefined || process.cwd() === packageRoot()) return "npx slm";
  return basename(script) === "main.js" ? `node ${here(script)}` : "slm";
}
