/**
 * The one door to Dawn (npm `webgpu`): loading it, its toggles, and the list of its adapters.
 * Nothing else in the project imports that package.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import { NoAdapterError, UnsupportedError } from "./errors.js";

/** `vulkan`, `metal` and `d3d12` run kernels; `null` only compiles them, on any machine. */
export type Backend = "vulkan" | "metal" | "d3d12" | "null";

export interface AdapterSummary {
  readonly index: number;
  readonly backend: string;
  readonly name: string;
}

interface DawnModule {
  create(flags: string[]): GPU;
  globals: Record<string, unknown>;
}

/*
 * allow_unsafe_apis: subgroup matrices are experimental. vulkan_enable_f16_on_nvidia: f16 is hidden there
 * otherwise. Timestamps are quantised to 65 µs unless that toggle is off, which is longer than most kernels.
 */
const ENABLED = ["allow_unsafe_apis", "vulkan_enable_f16_on_nvidia", "use_vulkan_memory_model"];
const DISABLED = ["timestamp_quantization"];

let loaded: DawnModule | undefined;

/**
 * Objects that `create()` returned. Dawn crashes or hangs when they are collected while a device
 * lives, so they are kept for the life of the process.
 */
const instances: GPU[] = [];

function loadDawn(): DawnModule {
  if (loaded) return loaded;
  const require = createRequire(import.meta.url);
  try {
    /* WEBGPU_DIST holds a bare dawn.node on servers that get a packed binary instead of the npm package. */
    const dist = process.env.WEBGPU_DIST;
    loaded = require(dist ? join(dist, "dawn.node") : "webgpu") as DawnModule;
  } catch (error) {
    throw new UnsupportedError(
      `Dawn does not load on this machine (${process.platform}-${process.arch}, Node ${process.version}): ` +
        `${(error as Error).message.split("\n")[0]}. It needs glibc 2.34 or newer on Linux (musl is not supported); ` +
        "run `slm doctor` for what is missing.",
      { cause: error },
    );
  }
  for (const [name, value] of Object.entries(loaded.globals)) {
    if (!(name in globalThis))
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  return loaded;
}

/** The backend that this operating system's drivers speak. */
export function defaultBackend(): Backend {
  if (process.platform === "darwin") return "metal";
  return process.platform === "win32" ? "d3d12" : "vulkan";
}

export interface DawnOptions {
  readonly backend?: Backend;
  /** Part of an adapter's name, as `listAdapters` gives it. */
  readonly adapterName?: string;
  /** Drop Dawn's bounds clamps: faster, but a kernel that writes outside its buffer corrupts memory. */
  readonly unchecked?: boolean;
}

/**
 * Creates a Dawn instance.
 *
 * Where a driver offers more dynamic buffers than Dawn can use, each instance's first look for an adapter prints two
 * warnings ("artificially reduced"): Dawn's native code writes them to file descriptor 2 whatever its toggles say, and
 * Node cannot put another descriptor in that place and back without risking the program's own messages.
 */
export function createInstance(options: DawnOptions = {}): GPU {
  const enabled = [
    ...ENABLED,
    ...(options.unchecked ? ["disable_robustness", "disable_workgroup_init"] : []),
  ];
  const flags = [
    `backend=${options.backend ?? defaultBackend()}`,
    `enable-dawn-features=${enabled.join(",")}`,
    `disable-dawn-features=${DISABLED.join(",")}`,
  ];
  if (options.adapterName !== undefined) flags.push(`adapter=${options.adapterName}`);
  const instance = loadDawn().create(flags);
  instances.push(instance);
  return instance;
}

const lists = new Map<Backend, Promise<AdapterSummary[]>>();

/**
 * Every adapter that Dawn sees, GPUs and software drivers alike, in the order in which Dawn prefers them for speed;
 * asked for once in a process.
 */
export function listAdapters(backend: Backend = defaultBackend()): Promise<AdapterSummary[]> {
  let list = lists.get(backend);
  if (!list) {
    list = searchAdapters(backend);
    lists.set(backend, list);
  }
  return list;
}

/** Asks Dawn for its adapters. @param create makes the instance that is asked, for an adapter that has no such name */
export async function searchAdapters(
  backend: Backend,
  create: (options: DawnOptions) => Pick<GPU, "requestAdapter"> = createInstance,
): Promise<AdapterSummary[]> {
  if (backend === "null") return [{ index: 0, backend: "null", name: "null backend" }];
  /* Dawn lists adapters only in the message of a failed search by name. */
  const instance = create({ backend, adapterName: "\u0001none" });
  try {
    /* without a preference Dawn puts integrated GPUs before discrete ones */
    await instance.requestAdapter({ powerPreference: "high-performance" });
  } catch (error) {
    const found = [...(error as Error).message.matchAll(/backend: '([^']*)', name: '(.*)'/g)];
    return found.map((match, index) => ({ index, backend: match[1], name: match[2] }));
  }
  return [];
}

/**
 * The adapter that Dawn opens in place of one of its list, if it does: it is told a name, and takes the first adapter
 * whose name contains that.
 */
export function openedInstead(
  adapters: readonly AdapterSummary[],
  adapter: AdapterSummary,
): AdapterSummary | undefined {
  const first = adapters.find(({ name }) => name.includes(adapter.name));
  return first === adapter ? undefined : first;
}

/**
 * The adapter of a list that is meant by an index, by its name, or by a part of its name.
 * @throws NoAdapterError naming the adapters that exist; UnsupportedError, the remedy on its second line, for one that
 * Dawn cannot open
 */
export function pickAdapter(adapters: readonly AdapterSummary[], wanted: string | number): AdapterSummary {
  const index = typeof wanted === "number" ? wanted : /^\d+$/.test(wanted) ? Number(wanted) : undefined;
  const text = String(wanted).toLowerCase();
  const found =
    index !== undefined
      ? adapters[index]
      : (adapters.find(({ name }) => name.toLowerCase() === text) ??
        adapters.find(({ name }) => name.toLowerCase().includes(text)));
  if (!found) {
    const list = adapters.map((a) => `  ${a.index}: ${a.name}`).join("\n");
    throw new NoAdapterError(
      `No adapter ${JSON.stringify(wanted)}. ${list ? `Available:\n${list}` : "There is no adapter at all; run `slm doctor`."}`,
    );
  }
  const other = openedInstead(adapters, found);
  if (!other) return found;
  throw new UnsupportedError(
    `Adapter ${found.index}, "${found.name}", cannot be opened: Dawn finds adapters by name, and would open adapter ` +
      `${other.index}, "${other.name}".\nUse adapter ${other.index}${alternative(found, other)}.`,
  );
}

/** How a process is kept from seeing another adapter: https://docs.mesa3d.org/envvars.html#envvar-DRI_PRIME */
function alternative(wanted: AdapterSummary, other: AdapterSummary): string {
  if (process.platform === "win32") return `, or disable adapter ${other.index} in the Device Manager`;
  if (process.platform !== "linux") return "";
  return (
    `, or let this process see adapter ${wanted.index} alone, by its PCI address: DRI_PRIME=pci-0000_02_00_0! ` +
    "(which Mesa's device-select layer reads)"
  );
}

/**
 * Resolves an adapter given as an index or as part of a name.
 * @throws NoAdapterError naming the adapters that exist; UnsupportedError for one that Dawn cannot open
 */
export async function findAdapter(wanted: string | number, backend?: Backend): Promise<AdapterSummary> {
  return pickAdapter(await listAdapters(backend), wanted);
}

/** The version of the npm package that carries Dawn, or undefined for a bare binary. */
export function dawnVersion(): string | undefined {
  if (process.env.WEBGPU_DIST) return undefined;
  const require = createRequire(import.meta.url);
  return (require("webgpu/package.json") as { version: string }).version;
}
