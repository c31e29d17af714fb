// Checks that the libraries of the speed comparison computed the same thing, and the right one: products and cross-entropy against
// float64, training steps by their losses.

/** The right values of some entries of each array that a benchmark computes. */
export interface Reference {
  readonly arrays: readonly {
    readonly name: string;
    readonly values: Float64Array;
    /** Where in the computed array each value lies; all entries in order where it is left out. */
    readonly indices?: Uint32Array;
  }[];
}

const TOLERANCE = 1e-5;
const LOSS_TOLERANCE = 1e-4;
const SAMPLED_ROWS = 16;

/** Sixteen rows of the product, spread over it. */
export function matmulReference({ a, b }: { a: Float32Array; b: Float32Array }, n: number): Reference {
  const rows = Math.min(n, SAMPLED_ROWS);
  const values = new Float64Array(rows * n);
  const indices = new Uint32Array(rows * n);
  for (let sample = 0; sample < rows; sample++) {
    const row = Math.floor((sample * n) / rows) + Math.floor((sample * 7) % (n / rows));
    const result = values.subarray(sample * n, (sample + 1) * n);
    for (let k = 0; k < n; k++) {
      const factor = a[row * n + k];
      for (let column = 0; column < n; column++) result[column] += factor * b[k * n + column];
    }
    for (let column = 0; column < n; column++) indices[sample * n + column] = row * n + column;
  }
  return { arrays: [{ name: "product", values, indices }] };
}

/** Mean loss and gradient of softmax cross-entropy. */
export function softmaxReference(
  { logits, targets }: { logits: Float32Array; targets: Int32Array },
  rows: number,
  vocabulary: number,
): Reference {
  const gradient = new Float64Array(rows * vocabulary);
  let loss = 0;
  for (let row = 0; row < rows; row++) {
    const x = logits.subarray(row * vocabulary, (row + 1) * vocabulary);
    const dx = gradient.subarray(row * vocabulary, (row + 1) * vocabulary);
    const largest = x.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
    let sum = 0;
    for (let k = 0; k < vocabulary; k++) {
      dx[k] = Math.exp(x[k] - largest);
      sum += dx[k];
    }
    for (let k = 0; k < vocabulary; k++) dx[k] /= sum * rows;
    dx[targets[row]] -= 1 / rows;
    loss += (Math.log(sum) + largest - x[targets[row]]) / rows;
  }
  return {
    arrays: [
      { name: "loss", values: Float64Array.of(loss) },
      { name: "gradient", values: gradient },
    ],
  };
}

/** @throws where a value differs from the reference by more than 1e-5 of the largest. */
export function checkValues(
  title: string,
  library: string,
  computed: readonly ArrayLike<number>[],
  reference: Reference,
): void {
  for (const [i, { name, values, indices }] of reference.arrays.entries()) {
    const array = computed[i];
    if (!indices && array.length !== values.length) {
      throw new Error(`${title}: ${library} gives ${array.length} values of ${name}, not ${values.length}`);
    }
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (const [n, expected] of values.entries()) {
      const at = indices ? indices[n] : n;
      if (!(Math.abs(array[at] - expected) <= TOLERANCE * largest)) {
        throw new Error(
          `${title}: ${library} computes ${name}[${at}] = ${array[at]}; it is ${expected} (largest ${largest}, tolerance ${TOLERANCE})`,
        );
      }
    }
  }
}

/** @throws where the libraries' losses of the same step differ by more than 1e-4, or do not change from step to step. */
export function checkLosses(
  title: string,
  libraries: readonly string[],
  losses: readonly (readonly number[])[],
): void {
  const [ours] = losses;
  for (const [i, library] of libraries.entries()) {
    for (const [step, loss] of losses[i].entries()) {
      if (!(Math.abs(loss / ours[step] - 1) <= LOSS_TOLERANCE)) {
        throw new Error(
          `${title}: the loss of step ${step + 1} is ${loss} in ${library} and ${ours[step]} in ${libraries[0]}`,
        );
      }
      if (step > 0 && loss >= losses[i][step - 1]) {
        throw new Error(
          `${title}: the loss does not fall in ${library}: ${losses[i].slice(0, step + 1).join(", ")}`,
        );
      }
    }
  }
}
