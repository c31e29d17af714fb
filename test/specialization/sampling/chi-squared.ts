/** Pearson's test of counts against probabilities, and the tail of the chi-squared distribution, for the tests here. */
import { logGamma } from "../../../specialization/sampling/special-functions.js";

/**
 * P(a draw deviates as much or more) under the probabilities. Clusters of expectation below 5 are pooled. A count
 * where the probability is zero gives 0.
 */
export function goodnessOfFit(counts: ArrayLike<number>, probabilities: ArrayLike<number>): number {
  const total = Array.from(counts).reduce((sum, n) => sum + n, 0);
  let [statistic, cells, pooledCount, pooledExpected] = [0, 0, 0, 0];
  const cell = (count: number, expected: number) => {
    statistic += (count - expected) ** 2 / expected;
    cells += 1;
  };
  for (let c = 0; c < counts.length; c++) {
    const expected = total * probabilities[c];
    if (expected === 0 && counts[c] > 0) return 0;
    if (expected >= 5) cell(counts[c], expected);
    else {
      pooledCount += counts[c];
      pooledExpected += expected;
    }
  }
  if (pooledExpected > 0) cell(pooledCount, pooledExpected);
  return cells < 2 ? 1 : upperGamma((cells - 1) / 2, statistic / 2);
}

/** The regularised upper incomplete gamma function Q(a, x): series below a + 1, continued fraction above. */
export function upperGamma(a: number, x: number): number {
  if (x <= 0) return 1;
  const front = Math.exp(a * Math.log(x) - x - logGamma(a));
  if (x < a + 1) {
    let [sum, term] = [1 / a, 1 / a];
    for (let n = 1; term > sum * 1e-16; n++) {
      term *= x / (a + n);
      sum += term;
    }
    return 1 - front * sum;
  }
  let b = x + 1 - a;
  let c = 1e300;
  let d = 1 / b;
  let h = d;
  for (let i = 1; i < 10_000; i++) {
    const an = -i * (i - a);
    b += 2;
    d = 1 / (an * d + b);
    c = b + an / c;
    h *= c * d;
    if (Math.abs(c * d - 1) < 1e-15) break;
  }
  return front * h;
}
