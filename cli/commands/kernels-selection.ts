/** What the options of `slm kernels` select. */
import { basename } from "node:path";
import type { Gpu } from "../../engine/gpu/index.js";
import {
  KERNELS,
  type KernelDefinition,
  type KernelVariant,
  type Real,
  targetOf,
} from "../../engine/kernels/index.js";

export interface CommonOptions {
  readonly json?: boolean;
  readonly adapter?: string;
  readonly variant?: string;
  readonly real?: Real;
}

/** One variant of a kernel in one storage type. */
export interface Selected {
  readonly definition: KernelDefinition;
  readonly variant: KernelVariant;
  readonly real: Real;
}

export interface Selection {
  /** What this adapter can run. */
  readonly chosen: readonly Selected[];
  /** What was asked for and this adapter can only compile. */
  readonly skipped: readonly Selected[];
}

/** The kernel of a name; all of them without one. @throws Error naming those that exist */
export function find(name: string | undefined): readonly KernelDefinition[] {
  if (name === undefined) return KERNELS;
  const found = KERNELS.filter((k) => k.name === name);
  if (found.length > 0) return found;
  const names = KERNELS.map((k) => k.name).join(", ");
  throw new Error(`There is no kernel "${name}". There are: ${names}.`);
}

/** Whether an adapter runs a variant; Dawn's null backend runs none, whatever features it claims. */
export function runsOn(gpu: Gpu, variant: KernelVariant): boolean {
  return gpu.adapter.kind !== "null" && variant.runsOn(targetOf(gpu));
}

/**
 * The (kernel, variant, storage type) combinations that the options leave.
 * @throws Error where they leave none, naming what there is
 */
export function selection(
  gpu: Gpu,
  definitions: readonly KernelDefinition[],
  options: CommonOptions,
): Selection {
  const named = definitions.flatMap((definition) =>
    definition.variants
      .filter(({ name }) => options.variant === undefined || name === options.variant)
      .map((variant) => ({ definition, variant })),
  );
  if (named.length === 0) {
    const known = new Set(definitions.flatMap((d) => d.variants.map((v) => v.name)));
    throw new Error(`No kernel has the variant "${options.variant}". There are: ${[...known].join(", ")}.`);
  }
  const all = named.flatMap(({ definition, variant }) =>
    variant.reals
      .filter((real) => options.real === undefined || real === options.real)
      .map((real) => ({ definition, variant, real })),
  );
  if (all.length === 0) {
    const types = [...new Set(named.flatMap(({ variant }) => variant.reals))].join(" and ");
    const names = [...new Set(named.map(({ definition }) => definition.name))].join(", ");
    const of = options.variant === undefined ? names : `${names} / ${options.variant}`;
    throw new Error(`${of} has no ${options.real}; it has ${types}.`);
  }
  const target = targetOf(gpu);
  const isRunnable = ({ variant, real }: Selected) => runsOn(gpu, variant) && (real === "f32" || target.f16);
  return { chosen: all.filter(isRunnable), skipped: all.filter((one) => !isRunnable(one)) };
}

/** "matmul / tensor / f16". */
export function nameOf({ definition, variant, real }: Selected): string {
  return `${definition.name} / ${variant.name} / ${real}`;
}

/** The lines that say what was left out. */
export function skippedLines(gpu: Gpu, { skipped }: Selection): string[] {
  return skipped.map((one) => `skip  ${nameOf(one)}: ${gpu.adapter.name} cannot run it`);
}

/** @throws Error where nothing is left to run, so that a command that did nothing does not look like one that did */
export function needRunnable(gpu: Gpu, { chosen, skipped }: Selection): void {
  if (chosen.length > 0) return;
  const files = [...new Set(skipped.map(({ variant }) => variant.file))].join(" or ");
  throw new Error(
    `${gpu.adapter.name} can run nothing of what was asked for: ${skipped.map(nameOf).join(", ")}. Choose another --variant, ` +
      `--real or --adapter; \`slm kernels watch ${files} --once\` compiles it all the same.`,
  );
}

/** The kernels of the engine that a file is part of, each with those variants alone; none for somebody's own. */
export function kernelsOf(file: string): KernelDefinition[] {
  const name = basename(file);
  return KERNELS.map((definition) => ({
    ...definition,
    variants: definition.variants.filter((variant) => filesOf(variant).includes(name)),
  })).filter(({ variants }) => variants.length > 0);
}

/** Every file that a variant is made of, the one it is known by first. */
export function filesOf({ file, sources }: KernelVariant): string[] {
  return [...new Set([file, ...sources.map((source) => source.file)])];
}
