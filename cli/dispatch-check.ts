/** Answers of the kernels that a training step is made of against float64, as training would run them on an adapter. */
import type { Gpu } from "../engine/gpu/index.js";
import {
  checkVariant,
  KERNELS,
  type KernelDefinition,
  type KernelVariant,
  type Real,
  type Target,
  targetOf,
} from "../engine/kernels/index.js";

export interface DispatchCheck {
  readonly passed: boolean;
  readonly problems: number;
  readonly worstError: number;
  readonly failures: readonly string[];
}

export interface CheckedVariant {
  readonly definition: KernelDefinition;
  readonly variant: KernelVariant;
  readonly real: Real;
}

/** What is checked, and whether with every problem on software drivers too, where compiling takes seconds. */
const CHECKED: Readonly<Record<string, "every problem" | "one problem">> = {
  matmul: "every problem",
  "rms-norm": "every problem",
  softmax: "every problem",
  attention: "one problem",
  "cross-entropy": "one problem",
  adamw: "one problem",
};

/** The variants that training would choose on a device, in each type that it stores values in there. */
export function checkedVariants(target: Target): CheckedVariant[] {
  const reals: readonly Real[] = target.f16 && !target.software ? ["f32", "f16"] : ["f32"];
  return KERNELS.filter(({ name }) => Object.hasOwn(CHECKED, name)).flatMap((definition) =>
    reals.flatMap((real) => {
      const usable = definition.variants.filter((v) => v.runsOn(target) && v.reals.includes(real));
      const shaped = ["tensor", "cpu"].map((name) => usable.find((v) => v.name === name));
      const variant = shaped.find((v) => v !== undefined) ?? usable[0];
      return variant ? [{ definition: problemsOf(definition, target), variant, real }] : [];
    }),
  );
}

/** The kernel with the problems that it is checked with: all, or the one in the middle of the list, of a middling size. */
function problemsOf(definition: KernelDefinition, { software }: Target): KernelDefinition {
  if (!software || CHECKED[definition.name] === "every problem") return definition;
  return {
    ...definition,
    cases(context) {
      const all = definition.cases(context);
      return all.slice(all.length / 2).slice(0, 1);
    },
  };
}

/** @throws the errors of `Gpu` */
export async function checkDispatches(gpu: Gpu): Promise<DispatchCheck> {
  const results = [];
  for (const { definition, variant, real } of checkedVariants(targetOf(gpu)))
    results.push(
      ...(await checkVariant(gpu, definition, variant, real, Math.floor(Math.random() * 2 ** 31))),
    );
  const failures = results.filter((r) => !r.passed);
  return {
    passed: failures.length === 0 && results.length > 0,
    problems: results.length,
    worstError: Math.max(...results.map((r) => r.worstError)),
    failures: failures.map(
      (r) => `${r.kernel} in ${r.real} (${r.label}): ${r.output} is off by ${r.worstError.toExponential(1)}`,
    ),
  };
}
