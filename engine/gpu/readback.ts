/**
 * Reads a few values of every step without making the device wait: copies go into a ring of mapped buffers and are
 * picked up when they arrive. Nothing is allocated after construction.
 */
import type { Gpu } from "./device.js";
import { GpuError } from "./errors.js";

export interface ReadbackPart {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
}

export class Readback {
  #free: GPUBuffer[] = [];
  #all: GPUBuffer[] = [];
  readonly #bytes: number;

  /** `slots` reads can be under way at once. */
  constructor(
    readonly gpu: Gpu,
    readonly parts: readonly ReadbackPart[],
    slots: number,
  ) {
    this.#bytes = parts.reduce((sum, p) => sum + align(p.bytes), 0);
    for (let i = 0; i < slots; i++) {
      const buffer = gpu.device.createBuffer({
        label: `readback ${i}`,
        size: Math.max(16, this.#bytes),
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      });
      gpu.counters.buffers++;
      this.#all.push(buffer);
      this.#free.push(buffer);
    }
  }

  get available(): number {
    return this.#free.length;
  }

  /** Queues copies of all parts as they are at this point of the queue; resolves with one Float32Array a part. */
  async read(): Promise<Float32Array[]> {
    const staging = this.#free.pop();
    if (!staging)
      throw new GpuError("Every slot of this readback is under way; wait for one before the next read.");
    const encoder = this.gpu.device.createCommandEncoder({ label: "readback" });
    let offset = 0;
    for (const p of this.parts) {
      encoder.copyBufferToBuffer(p.buffer, p.offset, staging, offset, align(p.bytes));
      offset += align(p.bytes);
    }
    this.gpu.submit(encoder.finish());
    try {
      await this.gpu.waitFor(staging.mapAsync(GPUMapMode.READ));
    } catch (error) {
      this.gpu.check();
      throw new GpuError(`Reading values back failed: ${(error as Error).message}`);
    }
    const bytes = staging.getMappedRange().slice(0, this.#bytes);
    staging.unmap();
    this.#free.push(staging);
    this.gpu.check();
    offset = 0;
    return this.parts.map((p) => {
      const part = new Float32Array(bytes, offset, p.bytes / 4);
      offset += align(p.bytes);
      return part;
    });
  }

  dispose(): void {
    for (const buffer of this.#all) buffer.destroy();
    this.#all = [];
    this.#free = [];
  }
}

function align(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}
