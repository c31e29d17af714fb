/** What to do after the demo: commands that work as they are printed, but for the one path that stands for the user's files. */
import { basename, relative } from "node:path";
import { packageRoot, slmPath } from "../version.js";

export interface NextStep {
  readonly purpose: string;
  readonly command: string;
}

/** Stands for the user's own files in a command. */
export const OWN_FILES = "path/to/much/text";
export const OWN_DOMAIN = "path/to/your/text";

export interface DemoJob {
  /** Its configuration, and the folder of a specialised model. */
  readonly configFile: string;
  readonly model: string;
  readonly heldOutFile: string;
  /** Folder of everything. */
  readonly folder: string;
}

/** Steps for someone in the current folder. */
export function nextSteps({ configFile, model, heldOutFile, folder }: DemoJob): NextStep[] {
  const slm = commandName();
  return [
    {
      purpose: "Do the same with your own files: this writes a commented forge.yaml after looking at them",
      command: `${slm} init --corpus ${OWN_FILES} --domain mine=${OWN_DOMAIN}`,
    },
    {
      purpose: "Train longer, from the configuration that this demo wrote",
      command: `${slm} run ${here(configFile)} --set pretraining.budget.steps=20000`,
    },
    {
      purpose: "See losses, clusters and the comparison in a browser",
      command: `${slm} board ${here(folder)}`,
    },
    {
      purpose: "Let the specialised model continue a text",
      command: `${slm} generate ${here(model)} --prompt "export function " --tokens 100`,
    },
    {
      purpose: "Measure it on text it has not seen; name other files to measure it on those",
      command: `${slm} eval ${here(model)} --set held-out=${here(heldOutFile)}`,
    },
    {
      purpose: "Take it to llama.cpp; the folder itself is what transformers loads",
      command: `${slm} export ${here(model)} --format gguf --out demo.gguf`,
    },
    {
      purpose: "Read the kernels it ran on, change one, and see whether it is still right",
      command: `${slm} kernels list`,
    },
  ];
}

/** The path as it is shortest to type here, quoted if a shell would take it apart. */
export function here(path: string): string {
  const near = relative("", path).replaceAll("\\", "/");
  const shorter = near !== "" && near.length < path.length ? near : path;
  return /^[\w./:\\-]+$/.test(shorter) ? shorter : JSON.stringify(shorter);
}

/** How this command line was started: through npm, by its file, or by its name. */
export function commandName(): string {
  const script = process.argv[1];
  if (process.env.npm_command !== undefined || process.cwd() === packageRoot()) return "npx slm";
  return basename(script) === basename(slmPath()) ? `node ${here(script)}` : "slm";
}
