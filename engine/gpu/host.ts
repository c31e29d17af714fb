/**
 * What this machine has for Vulkan, read from files only: C library, loader, driver manifests, NVIDIA's kernel
 * module and libraries, display devices, container. Dawn is not needed for any of it, so the set-up uses it to
 * say why there is no adapter. Search paths: the Vulkan loader's documentation, "Driver discovery".
 */
import { execFileSync } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
} from "node:fs";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";

export interface CLibrary {
  readonly family: "glibc" | "musl" | "none";
  readonly version: string | null;
}

/** From os-release; `codename` is that of the Debian or Ubuntu release that a derived distribution builds on. */
export interface Distribution {
  readonly id: string;
  readonly like: readonly string[];
  readonly version: string;
  readonly codename: string;
  readonly name: string;
}

export interface SharedLibrary {
  readonly path: string;
  /** From the file's own name behind its links, e.g. `1.3.239`; null where that carries none. */
  readonly version: string | null;
}

/** One driver manifest ("ICD") and the library that it names. */
export interface VulkanDriver {
  readonly manifest: string;
  readonly library: string;
  /** Null where the linker would not find the library. */
  readonly libraryPath: string | null;
  readonly apiVersion: string | null;
}

export interface DisplayDevice {
  readonly address: string;
  readonly vendorId: string;
  readonly deviceId: string;
  readonly vendor: string;
  /** The kernel driver that is bound to it. */
  readonly kernelDriver: string | null;
}

export interface DeviceNode {
  readonly path: string;
  readonly kernelDriver: string | null;
  /** Whether this user may read and write it. */
  readonly accessible: boolean;
}

export interface NvidiaFacts {
  readonly kernelModuleVersion: string | null;
  /** Version of the installed user-space libraries. */
  readonly libraryVersion: string | null;
  /** `libGLX_nvidia` and `libEGL_nvidia`, either of which holds the Vulkan driver; where the linker finds them. */
  readonly glxLibrary: string | null;
  readonly eglLibrary: string | null;
  /** A folder with these libraries that the linker does not search. */
  readonly folderOffPath: string | null;
  /** NVIDIA_DRIVER_CAPABILITIES. */
  readonly capabilities: string | null;
}

export interface HostFacts {
  readonly platform: NodeJS.Platform;
  readonly architecture: string;
  readonly nodeVersion: string;
  readonly cLibrary: CLibrary;
  readonly distribution: Distribution | null;
  /** `docker`, `podman`, `kubernetes`, `lxc`, …; null outside containers. */
  readonly container: string | null;
  readonly vulkanLoader: SharedLibrary | null;
  /** A variable that replaces the loader's own search for drivers. */
  readonly driverOverride: { readonly variable: string; readonly value: string } | null;
  readonly drivers: readonly VulkanDriver[];
  /** Version of Mesa's software driver, e.g. `25.0.7`. */
  readonly lavapipeVersion: string | null;
  readonly displayDevices: readonly DisplayDevice[];
  readonly deviceNodes: readonly DeviceNode[];
  readonly nvidia: NvidiaFacts;
  /** X libraries that NVIDIA's libGLX needs and the linker does not find. */
  readonly missingXLibraries: readonly string[];
  /** DISPLAY or WAYLAND_DISPLAY; null on a headless machine. */
  readonly display: string | null;
}

/** A sign of a GPU that could train; `given` says whether this system (or container) has its device node. */
export interface GpuSign {
  readonly vendor: string;
  readonly description: string;
  readonly given: boolean;
}

/** Where the facts come from; the default is this machine. */
export interface HostSource {
  /** Folder that stands for `/`. */
  readonly root: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  readonly architecture: string;
  readonly cLibrary: CLibrary;
  /** Output of `ldconfig -p`. */
  readonly linkerCache: string;
}

const VENDORS: Readonly<Record<string, string>> = {
  "0x10de": "NVIDIA",
  "0x1002": "AMD",
  "0x8086": "Intel",
  "0x1a03": "ASPEED",
  "0x102b": "Matrox",
  "0x1af4": "virtio",
  "0x1234": "QEMU",
  "0x1013": "Cirrus",
  "0x1b36": "Red Hat",
  "0x15ad": "VMware",
  "0x80ee": "VirtualBox",
  "0x1414": "Microsoft",
  "0x1d0f": "Amazon",
  "0x1ab8": "Parallels",
};

/** Makers of GPUs that can train. Every other display device is a console or a virtual machine's screen. */
const GPU_VENDORS = new Set(["NVIDIA", "AMD", "Intel"]);

/** Kernel drivers of render nodes with no GPU of their own behind them. */
const VIRTUAL_RENDERERS = new Set([
  "virtio_gpu",
  "virtio-pci",
  "vgem",
  "vkms",
  "bochs-drm",
  "cirrus",
  "vmwgfx",
  "qxl",
  "ast",
  "mgag200",
  "hyperv_drm",
  "simple-framebuffer",
  "vboxvideo",
]);

/** Where container run-times mount NVIDIA's libraries without telling the linker. */
const NVIDIA_FOLDERS = ["/usr/local/nvidia/lib64", "/usr/local/nvidia/lib"];

/** Reads the facts; never throws for something that is absent. */
export function inspectHost(given: Partial<HostSource> = {}): HostFacts {
  const source = { ...thisMachine(), ...given };
  const linker = new Linker(source);
  const linux = source.platform === "linux";
  const override = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].find((name) => source.env[name]);
  const loader = linux ? linker.find("libvulkan.so.1") : null;
  const drivers = linux ? readDrivers(source, linker, override && source.env[override]) : [];
  return {
    platform: source.platform,
    architecture: source.architecture,
    nodeVersion: process.version,
    cLibrary: source.cLibrary,
    distribution: readDistribution(source),
    container: detectContainer(source),
    vulkanLoader: loader ? { path: loader, version: linker.version(loader) } : null,
    driverOverride: override ? { variable: override, value: source.env[override]! } : null,
    drivers,
    lavapipeVersion: readLavapipeVersion(source, drivers),
    displayDevices: linux ? readDisplayDevices(source) : [],
    deviceNodes: linux ? readDeviceNodes(source) : [],
    nvidia: readNvidia(source, linker),
    missingXLibraries: linux ? ["libX11.so.6", "libXext.so.6"].filter((name) => !linker.find(name)) : [],
    display: source.env.DISPLAY || source.env.WAYLAND_DISPLAY || null,
  };
}

/** The signs of real GPUs in the facts, whether or not Vulkan finds them. Virtual screens do not count. */
export function gpuSigns(facts: HostFacts): GpuSign[] {
  const nvidiaNode = facts.deviceNodes.some((node) => /\/nvidia\d+$/.test(node.path));
  const renderNodes = facts.deviceNodes.filter(
    (node) => node.path.includes("/renderD") && !VIRTUAL_RENDERERS.has(node.kernelDriver ?? ""),
  );
  const nouveau = renderNodes.some((node) => node.kernelDriver === "nouveau");
  const signs = facts.displayDevices
    // A device bound to vfio belongs to a virtual machine.
    .filter((device) => GPU_VENDORS.has(device.vendor) && device.kernelDriver !== "vfio-pci")
    .map((device) => ({
      vendor: device.vendor,
      description: `${device.vendor} GPU ${device.vendorId.slice(2)}:${device.deviceId.slice(2)} at PCI ${device.address}`,
      given: device.vendor === "NVIDIA" ? nvidiaNode || nouveau : renderNodes.length > 0,
    }));
  if (nvidiaNode && !signs.some((sign) => sign.vendor === "NVIDIA")) {
    signs.push({ vendor: "NVIDIA", description: "NVIDIA GPU (/dev/nvidia*)", given: true });
  }
  if (facts.deviceNodes.some((node) => node.path === "/dev/dxg")) {
    signs.push({ vendor: "Windows", description: "GPU of the Windows host (/dev/dxg)", given: true });
  }
  if (signs.length === 0 && renderNodes.length > 0) {
    const { path, kernelDriver } = renderNodes[0]!;
    signs.push({
      vendor: "other",
      description: `GPU with kernel driver ${kernelDriver ?? "unknown"} (${path})`,
      given: true,
    });
  }
  return signs;
}

function thisMachine(): HostSource {
  return {
    root: "/",
    env: process.env,
    platform: process.platform,
    architecture: process.arch,
    cLibrary: process.platform === "linux" ? runningCLibrary() : { family: "none", version: null },
    linkerCache: process.platform === "linux" ? readLinkerCache() : "",
  };
}

function runningCLibrary(): CLibrary {
  const { report } = process as unknown as { report: { excludeNetwork: boolean; getReport(): unknown } };
  report.excludeNetwork = true; // name look-ups of every interface would take seconds
  const { header, sharedObjects } = report.getReport() as {
    header: { glibcVersionRuntime?: string };
    sharedObjects: string[];
  };
  if (header.glibcVersionRuntime) return { family: "glibc", version: header.glibcVersionRuntime };
  const musl = sharedObjects.some((path) => basename(path).includes("musl"));
  return { family: musl ? "musl" : "none", version: null };
}

function readLinkerCache(): string {
  // Not every user has /sbin on the path, and minimal systems have no ldconfig at all.
  for (const program of ["/sbin/ldconfig", "/usr/sbin/ldconfig", "ldconfig"]) {
    try {
      return execFileSync(program, ["-p"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") return "";
    }
  }
  return "";
}

/** Finds shared libraries as the dynamic linker does: LD_LIBRARY_PATH, its cache, the standard folders. */
class Linker {
  readonly #source: HostSource;
  readonly #cache: ReadonlyMap<string, string>;

  constructor(source: HostSource) {
    this.#source = source;
    this.#cache = parseLinkerCache(source.linkerCache, source.architecture);
  }

  /** Absolute path (inside the root) of a library given by bare name, or null. */
  find(name: string): string | null {
    const cached = this.#cache.get(name);
    const triple = this.#source.architecture === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
    const standard = [`/usr/lib/${triple}`, `/lib/${triple}`, "/usr/lib64", "/lib64", "/usr/lib", "/lib"];
    const candidates = [
      ...(this.#source.env.LD_LIBRARY_PATH ?? "")
        .split(":")
        .filter(Boolean)
        .map((folder) => join(folder, name)),
      ...(cached ? [cached] : []),
      ...standard.map((folder) => join(folder, name)),
    ];
    return candidates.find((path) => existsSync(join(this.#source.root, path))) ?? null;
  }

  /** The version in the name of the file behind the links: `libx.so.1` -> `libx.so.1.2.3` -> `1.2.3`. */
  version(path: string): string | null {
    const file = realpathSync(join(this.#source.root, path));
    return /\.so\.(\d+(?:\.\d+)+)$/.exec(file)?.[1] ?? null;
  }
}

/** Reads `ldconfig -p`: library name to path, for one architecture (`process.arch`). */
export function parseLinkerCache(text: string, architecture: string): Map<string, string> {
  const tag = architecture === "arm64" ? "AArch64" : "x86-64";
  const found = new Map<string, string>();
  for (const [, name, kind, path] of text.matchAll(/^\s*(\S+) \(([^)]*)\) => (.+)$/gm)) {
    if (kind!.includes(tag) && !found.has(name!)) found.set(name!, path!);
  }
  return found;
}

/** Reads /etc/os-release. */
export function parseDistribution(text: string): Distribution {
  const fields: Record<string, string> = {};
  for (const [, key, value] of text.matchAll(/^([A-Z_]+)=(.*)$/gm))
    fields[key!] = value!.replace(/^(["'])(.*)\1$/, "$2");
  return {
    id: fields.ID ?? "",
    like: (fields.ID_LIKE ?? "").split(/\s+/).filter(Boolean),
    version: fields.VERSION_ID ?? "",
    codename: fields.UBUNTU_CODENAME ?? fields.DEBIAN_CODENAME ?? fields.VERSION_CODENAME ?? "",
    name: fields.PRETTY_NAME ?? fields.NAME ?? fields.ID ?? "Linux",
  };
}

function readDistribution(source: HostSource): Distribution | null {
  const text = readText(source, "/etc/os-release") ?? readText(source, "/usr/lib/os-release");
  return text === null ? null : parseDistribution(text);
}

function detectContainer(source: HostSource): string | null {
  if (source.env.KUBERNETES_SERVICE_HOST) return "kubernetes";
  if (source.env.APPTAINER_CONTAINER || source.env.SINGULARITY_CONTAINER) return "apptainer";
  if (existsSync(join(source.root, "/run/.containerenv"))) return "podman";
  if (existsSync(join(source.root, "/.dockerenv"))) return "docker";
  if (source.env.container) return source.env.container;
  return /\b(docker|kubepods|containerd|lxc)\b/.exec(readText(source, "/proc/1/cgroup") ?? "")?.[1] ?? null;
}

function readDrivers(source: HostSource, linker: Linker, override: string | undefined): VulkanDriver[] {
  const { env } = source;
  const list = (value: string | undefined, fallback: string) =>
    (value || fallback).split(":").filter(Boolean);
  const home = env.HOME ?? "/root";
  const folders = [
    ...list(env.XDG_CONFIG_HOME, join(home, ".config")),
    ...list(env.XDG_CONFIG_DIRS, "/etc/xdg"),
    "/etc",
    ...list(env.XDG_DATA_HOME, join(home, ".local/share")),
    ...list(env.XDG_DATA_DIRS, "/usr/local/share:/usr/share"),
  ].map((folder) => join(folder, "vulkan/icd.d"));
  const places = override ? list(override, "") : [...folders, ...list(env.VK_ADD_DRIVER_FILES, "")];
  const manifests = places.flatMap((place) =>
    place.endsWith(".json")
      ? [place]
      : names(source, place)
          .filter((name) => name.endsWith(".json"))
          .map((name) => join(place, name)),
  );
  return [...new Set(manifests)].flatMap((manifest) => {
    const text = readText(source, manifest);
    const icd = text === null ? null : parseManifest(text);
    if (!icd || icd.library_arch === "32") return [];
    const library = icd.library_path;
    // A path with a slash is relative to the manifest; a bare name is the linker's to find.
    const path = isAbsolute(library)
      ? library
      : library.includes("/")
        ? resolve(dirname(manifest), library)
        : null;
    const libraryPath =
      path === null ? linker.find(library) : existsSync(join(source.root, path)) ? path : null;
    return [{ manifest, library, libraryPath, apiVersion: icd.api_version ?? null }];
  });
}

function parseManifest(
  text: string,
): { library_path: string; api_version?: string; library_arch?: string } | null {
  try {
    const icd = (JSON.parse(text) as { ICD?: { library_path?: unknown } }).ICD;
    return typeof icd?.library_path === "string" ? (icd as { library_path: string }) : null;
  } catch {
    return null; // the loader skips a manifest that it cannot read
  }
}

function readLavapipeVersion(source: HostSource, drivers: readonly VulkanDriver[]): string | null {
  const path = drivers.find((driver) => driver.library.includes("libvulkan_lvp"))?.libraryPath;
  if (!path) return null;
  // No manifest tells it, but the library carries the version that it reports to applications.
  const text = readFileSync(join(source.root, path)).toString("latin1");
  return /Mesa (\d+\.\d+\.\d+)/.exec(text)?.[1] ?? null;
}

function readDisplayDevices(source: HostSource): DisplayDevice[] {
  const folder = "/sys/bus/pci/devices";
  return names(source, folder).flatMap((address) => {
    const read = (file: string) => readText(source, join(folder, address, file))?.trim() ?? "";
    if (!read("class").startsWith("0x03")) return [];
    const vendorId = read("vendor");
    return [
      {
        address,
        vendorId,
        deviceId: read("device"),
        vendor: VENDORS[vendorId] ?? "unknown",
        kernelDriver: linkName(source, join(folder, address, "driver")),
      },
    ];
  });
}

function readDeviceNodes(source: HostSource): DeviceNode[] {
  const paths = [
    ...names(source, "/dev")
      .filter((name) => /^(nvidia\d+|nvidiactl|dxg)$/.test(name))
      .map((name) => `/dev/${name}`),
    ...names(source, "/dev/dri")
      .filter((name) => /^renderD\d+$/.test(name))
      .map((name) => `/dev/dri/${name}`),
  ];
  return paths.map((path) => ({
    path,
    kernelDriver: linkName(source, `/sys/class/drm/${basename(path)}/device/driver`),
    accessible: isAccessible(join(source.root, path)),
  }));
}

function readNvidia(source: HostSource, linker: Linker): NvidiaFacts {
  // "NVIDIA UNIX x86_64 Kernel Module  580.65.06 …" or "NVIDIA UNIX Open Kernel Module for x86_64  580.65.06 …"
  const module = /Kernel Module\D.*?\s(\d+\.\d+(?:\.\d+)?)\s/.exec(
    readText(source, "/proc/driver/nvidia/version") ?? "",
  );
  const [glx, egl, cuda] = ["libGLX_nvidia.so.0", "libEGL_nvidia.so.0", "libcuda.so.1"].map((name) =>
    linker.find(name),
  );
  const off = NVIDIA_FOLDERS.find((folder) =>
    names(source, folder).some((name) => /^lib(GLX|EGL)_nvidia\.so/.test(name)),
  );
  const any = glx ?? egl ?? cuda;
  return {
    kernelModuleVersion: module?.[1] ?? null,
    libraryVersion: any ? linker.version(any) : null,
    glxLibrary: glx ?? null,
    eglLibrary: egl ?? null,
    folderOffPath: glx || egl ? null : (off ?? null),
    capabilities: source.env.NVIDIA_DRIVER_CAPABILITIES ?? null,
  };
}

function readText(source: HostSource, path: string): string | null {
  try {
    return readFileSync(join(source.root, path), "utf8");
  } catch {
    return null; // absent, or not ours to read: for these facts the same
  }
}

function names(source: HostSource, folder: string): string[] {
  try {
    return readdirSync(join(source.root, folder)).sort();
  } catch {
    return [];
  }
}

function linkName(source: HostSource, path: string): string | null {
  try {
    return basename(readlinkSync(join(source.root, path)));
  } catch {
    return null;
  }
}

function isAccessible(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
