// k-means of npm `ml-kmeans` (one thread, float64), as bench/kmeans.ts runs it beside the engine's.
import { readFileSync } from "node:fs";
import { kmeans } from "ml-kmeans";

export const name = "ml-kmeans";
const manifest = new URL("../package.json", import.meta.resolve("ml-kmeans"));
export const version = JSON.parse(readFileSync(manifest, "utf8")).version;

/**
 * One Lloyd iteration: assignment of every point and new centroids.
 * @param {number[][]} points rows
 * @param {number[][]} centroids rows to begin with
 * @returns {{ assignments: number[], centroids: number[][] }}
 */
export function iterate(points, centroids) {
  const found = kmeans(points, centroids.length, { initialization: centroids, maxIterations: 1 });
  return { assignments: found.clusters, centroids: found.centroids };
}
