/** What the options of `slm kernels` select. */
import {
  KERNELS,
  type KernelDefinition,
  type KernelVariant,
  type Real,
  type Target,
} from "../../engine/kernels/index.js";

export interface CommonOptions {
  readonly json?: boolean;
  readonly adapter?: string;
  readonly variant?: string;
  readonly real?: Real;
}

export function find(name: string | undefined): readonly KernelDefinition[] {
  if (name === undefined) return KERNELS;
  const found = KERNELS.filter((k) => k.name === name);
  if (found.length > 0) return found;
  const names = KERNELS.map((k) => k.name).join(", ");
  throw new Error(`There is no kernel "${name}". There are: ${names}.`);
}

/** The runnable (kernel, variant, storage type) combinations that the options leave. */
export function selection(target: Target, definitions: readonly KernelDefinition[], options: CommonOptions) {
  const chosen: { definition: KernelDefinition; variant: KernelVariant; real: Real }[] = [];
  const skipped: string[] = [];
  for (const definition of definitions) {
    for (const variant of definition.variants) {
      if (options.variant !== undefined && variant.name !== options.variant) continue;
      for (const real of variant.reals) {
        if (options.real !== undefined && real !== options.real) continue;
        if (variant.runsOn(target) && (real === "f32" || target.f16))
          chosen.push({ definition, variant, real });
        else skipped.push(`${definition.name} / ${variant.name} / ${real}`);
      }
    }
  }
  if (chosen.length === 0 && skipped.length === 0) {
    const known = definitions.flatMap((d) => d.variants.map((v) => v.name));
    throw new Error(
      `No kernel has the variant "${options.variant}". There are: ${[...new Set(known)].join(", ")}.`,
    );
  }
  return { chosen, skipped };
}

/** Every file that a variant is made of, the one it is known by first. */
export function filesOf({ file, sources }: KernelVariant): string[] {
  return [...new Set([file, ...sources.map((source) => source.file)])];
}
