/**
 * One pass of Lloyd's algorithm over all chunks of points: assignment, exact distances, ordered sums. Everything is
 * recorded once and replayed; between passes only the centroids change.
 */
import { type Gpu, type GpuBuffer, Plan, whole } from "../gpu/index.js";
import {
  type AssignTile,
  assignBuffers,
  distances,
  nearestCentroids,
  prepareCentroids,
  prepareHalfPoints,
} from "../kernels/kmeans-assign.js";
import { accumulateClusters, finishCentroids, updateSlots } from "../kernels/kmeans-update.js";
import { sum, sumParts } from "../kernels/reduce.js";
import { runStarts, sortCounts, sortPairs } from "../kernels/sort.js";
import type { Target } from "../kernels/target.js";
import type { PointStore } from "./points.js";

interface ChunkPlans {
  readonly assignment: GpuBuffer;
  readonly distance: GpuBuffer;
  readonly parts: GpuBuffer;
  readonly half: Plan | undefined;
  readonly assign: Plan;
  readonly accumulate: Plan;
}

export interface LloydOptions {
  readonly clusters: number;
  readonly spherical: boolean;
  readonly tile: AssignTile;
}

export class Lloyd {
  #buffers: GpuBuffer[] = [];
  #plans: Plan[] = [];
  #chunks: ChunkPlans[] = [];
  #prepare!: Plan;
  #clear!: Plan;
  #finish!: Plan;
  #counts!: GpuBuffer;
  /** clusters × stride f32. */
  centroids!: GpuBuffer;

  private constructor(
    readonly gpu: Gpu,
    readonly store: PointStore,
    readonly options: LloydOptions,
  ) {}

  /** Allocates and records everything that the passes need. */
  static async record(gpu: Gpu, target: Target, store: PointStore, options: LloydOptions): Promise<Lloyd> {
    const lloyd = new Lloyd(gpu, store, options);
    try {
      await lloyd.#record(target);
    } catch (error) {
      lloyd.dispose();
      throw error;
    }
    return lloyd;
  }

  async #buffer(label: string, dtype: "f32" | "f16" | "u32", elements: number): Promise<GpuBuffer> {
    const buffer = await this.gpu.createBuffer(`k-means ${label}`, dtype, elements);
    this.#buffers.push(buffer);
    return buffer;
  }

  async #plan(label: string, calls: Parameters<typeof Plan.record>[2]): Promise<Plan> {
    const plan = await Plan.record(this.gpu, `k-means ${label}`, calls);
    this.#plans.push(plan);
    return plan;
  }

  async #record(target: Target): Promise<void> {
    const { store } = this;
    const { clusters, spherical, tile } = this.options;
    const dimensions = store.stride;
    const largest = store.chunks[0].rows;
    const all = { points: largest, clusters, dimensions };
    const sizes = assignBuffers(tile, all);
    this.centroids = await this.#buffer("centroids", "f32", clusters * dimensions);
    const centroids = whole(this.centroids);
    const norms = whole(await this.#buffer("norms", "f32", sizes.norms));
    const optional = async (label: string, dtype: "f32" | "f16", elements: number) =>
      elements > 0 ? whole(await this.#buffer(label, dtype, elements)) : undefined;
    const panel = await optional("centroid panels", "f32", sizes.panel);
    const halfCentroids = await optional("centroids in f16", "f16", sizes.halfCentroids);
    const u32 = async (label: string, elements: number) => whole(await this.#buffer(label, "u32", elements));
    const nearest = await u32("nearest", largest);
    const sorting = {
      sortedKeys: await u32("sorted clusters", largest),
      sortedValues: await u32("sorted points", largest),
      scratchKeys: await u32("sort scratch", largest),
      scratchValues: await u32("sort scratch", largest),
      counts: await u32("sort counts", sortCounts(largest)),
    };
    const offset = await u32("cluster offsets", clusters + 1);
    const part = whole(await this.#buffer("partial sums", "f32", updateSlots(all) * dimensions));
    const sums = whole(await this.#buffer("sums", "f32", clusters * dimensions));
    this.#counts = await this.#buffer("sizes", "u32", clusters);
    const counts = whole(this.#counts);

    this.#prepare = await this.#plan(
      "centroid preparation",
      prepareCentroids(target, tile, all, { centroids, norms, panel, halfCentroids }),
    );
    this.#clear = await this.#plan("clearing", [
      { label: "k-means sums", clear: sums },
      { label: "k-means sizes", clear: counts },
    ]);
    this.#finish = await this.#plan("centroids", [
      finishCentroids(target, { ...all, spherical }, { sums, counts, centroids }),
    ]);
    let halfPoints = await optional("points in f16", "f16", sizes.halfPoints);
    for (const chunk of store.chunks) {
      const shape = { points: chunk.rows, clusters, dimensions };
      const { x } = chunk;
      if (halfPoints && chunk.index > 0 && !store.streamed) {
        halfPoints = await optional("points in f16", "f16", assignBuffers(tile, shape).halfPoints);
      }
      const assignment = await this.#buffer("assignment", "u32", chunk.rows);
      const distance = await this.#buffer("distances", "f32", chunk.rows);
      const parts = await this.#buffer("objective", "f32", sumParts(chunk.rows).count);
      const half = halfPoints
        ? await this.#plan("points in f16", [prepareHalfPoints(target, tile, shape, { x, halfPoints })])
        : undefined;
      const [partialSum] = sum(
        "f32",
        { length: chunk.rows, scale: 1, accumulate: false },
        { x: whole(distance), partial: whole(parts), output: whole(parts) },
      );
      const operands = { x, centroids, norms, panel, halfCentroids, halfPoints, nearest };
      const assign = await this.#plan("assignment", [
        nearestCentroids(target, tile, shape, operands),
        distances(
          target,
          { ...shape, keep: true },
          { x, centroids, nearest, assignment: whole(assignment), distance: whole(distance) },
        ),
        partialSum,
      ]);
      const keyed = { length: chunk.rows, keyRange: clusters };
      const accumulate = await this.#plan("accumulation", [
        ...sortPairs(target, keyed, { keys: whole(assignment), ...sorting }),
        runStarts(target, keyed, { sortedKeys: sorting.sortedKeys, starts: offset }),
        ...accumulateClusters(target, shape, { x, order: sorting.sortedValues, offset, part, sums, counts }),
      ]);
      this.#chunks.push({ assignment, distance, parts, half, assign, accumulate });
      if (!store.streamed) half?.run();
    }
  }

  /** Assigns every point to its nearest centroid and, for an update, adds it to its cluster. Objective: Σ ‖x − c‖². */
  async pass(update: boolean): Promise<number> {
    this.#prepare.run();
    if (update) this.#clear.run();
    for (const [i, chunk] of this.store.chunks.entries()) {
      await this.store.load(chunk);
      if (this.store.streamed) this.#chunks[i].half?.run();
      this.#chunks[i].assign.run();
      if (update) this.#chunks[i].accumulate.run();
    }
    let objective = 0;
    for (const { parts } of this.#chunks) for (const part of await parts.read()) objective += part;
    return objective;
  }

  /** Adds up the clusters again, after assignments were changed from outside. */
  async reaccumulate(): Promise<void> {
    this.#clear.run();
    for (const [i, chunk] of this.store.chunks.entries()) {
      await this.store.load(chunk);
      this.#chunks[i].accumulate.run();
    }
  }

  /** Moves the centroids to the means (or directions) of what the last pass added up. */
  update(): void {
    this.#finish.run();
  }

  /** Points in each cluster, as the last accumulation counted them. */
  async sizes(): Promise<Uint32Array> {
    return (await this.#counts.read()) as Uint32Array;
  }

  async assignments(): Promise<Uint32Array> {
    const all = new Uint32Array(this.store.rows);
    for (const [i, chunk] of this.store.chunks.entries()) {
      all.set(await this.#chunks[i].assignment.read(), chunk.first);
    }
    return all;
  }

  async distances(): Promise<Float32Array> {
    const all = new Float32Array(this.store.rows);
    for (const [i, chunk] of this.store.chunks.entries()) {
      all.set(await this.#chunks[i].distance.read(), chunk.first);
    }
    return all;
  }

  /** Makes a point the centroid of a cluster and its only sure member. `row`: the point, `stride` values. */
  place(point: number, cluster: number, row: Float32Array): void {
    this.centroids.write(row, cluster * this.store.stride);
    const index = this.store.chunks.findIndex((c) => point < c.first + c.rows);
    const at = point - this.store.chunks[index].first;
    this.#chunks[index].assignment.write(Uint32Array.of(cluster), at);
    this.#chunks[index].distance.write(Float32Array.of(0), at);
  }

  dispose(): void {
    for (const plan of this.#plans) plan.dispose();
    for (const buffer of this.#buffers) buffer.destroy();
  }
}
