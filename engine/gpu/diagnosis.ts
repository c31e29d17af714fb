/**
 * Why Vulkan finds no GPU on this machine, and what to do about it: a pure function of what host.ts read.
 * The set-up and `slm doctor` both print these lines, so that they say the same thing.
 */
import { type GpuSign, gpuSigns, type HostFacts } from "./host.js";

export interface Diagnosis {
  /** Stable name, for `--json` and for the set-up's decisions. */
  readonly code: DiagnosisCode;
  readonly problem: string;
  /** One line. */
  readonly remedy: string;
}

export type DiagnosisCode =
  | "musl"
  | "old-glibc"
  | "no-vulkan-loader"
  | "driver-override"
  | "driver-library-missing"
  | "nvidia-version-mismatch"
  | "nvidia-no-kernel-module"
  | "nvidia-container-capabilities"
  | "nvidia-no-graphics-libraries"
  | "nvidia-libraries-off-path"
  | "nvidia-headless"
  | "nvidia-no-manifest"
  | "gpu-not-given-to-container"
  | "no-kernel-driver"
  | "render-node-permission"
  | "mesa-driver-missing"
  | "windows-host-gpu"
  | "old-lavapipe"
  | "no-vulkan-driver"
  | "unexplained";

/** The oldest C library that Dawn's binary loads with. */
const GLIBC = [2, 34] as const;

/** Mesa's software driver before this lacks features that Dawn requires (22.3 is refused, 23.2 is accepted). */
const LAVAPIPE = [23, 0] as const;

const SETUP = "run `npm run setup`, which installs";

/** A manifest of NVIDIA's driver that needs no X libraries, and the variable that makes the loader use it. */
const HEADLESS_MANIFEST =
  `echo '{"file_format_version":"1.0.1","ICD":{"library_path":"libEGL_nvidia.so.0","api_version":"1.3.0"}}' ` +
  "> ~/nvidia-headless.json && export VK_DRIVER_FILES=~/nvidia-headless.json";

const WINDOWS_HOST: Diagnosis = {
  code: "windows-host-gpu",
  problem: "this is Linux inside Windows (WSL), where the GPU has no Vulkan driver that Dawn accepts",
  remedy: "run slm-forge in Windows itself, where it uses Direct3D 12 and needs no set-up",
};

/**
 * What stands between this machine and a GPU (or, where it has none, a software adapter).
 *
 * @param facts from `inspectHost`
 * @param adapters the adapters that Dawn found; with a GPU among them nothing is wrong
 * @returns the causes, the most fundamental first; empty where training works as well as the machine can
 */
export function diagnose(
  facts: HostFacts,
  adapters: readonly { readonly kind: "gpu" | "software" }[] = [],
): Diagnosis[] {
  if (facts.platform !== "linux" || adapters.some((adapter) => adapter.kind === "gpu")) return [];
  const unsupported = diagnoseCLibrary(facts);
  if (unsupported) return [unsupported];
  const signs = gpuSigns(facts);
  const found = diagnoseLoader(facts);
  // Where a software adapter is all there could be, naming its driver is a choice, not a fault.
  if (adapters.length === 0 || signs.length > 0) found.push(...diagnoseOverride(facts));
  for (const vendor of new Set(signs.map((sign) => sign.vendor))) {
    const own = signs.filter((sign) => sign.vendor === vendor);
    if (vendor === "NVIDIA") found.push(...diagnoseNvidia(facts, own));
    else if (vendor === "Windows") found.push(WINDOWS_HOST);
    else found.push(...diagnoseMesa(facts, own));
  }
  if (adapters.length === 0) found.push(...diagnoseSoftware(facts));
  if (found.length === 0 && (signs.length > 0 || adapters.length === 0)) {
    found.push({
      code: "unexplained",
      problem: `Vulkan finds ${signs.length > 0 ? `no driver for ${signs[0]!.description}` : "no adapter"}, and nothing known is missing`,
      remedy:
        "run `VK_LOADER_DEBUG=error,driver npx slm doctor` and read what the Vulkan loader says of each driver",
    });
  }
  return found;
}

function diagnoseCLibrary({ cLibrary }: HostFacts): Diagnosis | null {
  if (cLibrary.family === "musl") {
    return {
      code: "musl",
      problem: "this system's C library is musl, and Dawn's binary needs glibc",
      remedy: "use a glibc distribution or image, e.g. debian:12 or node:22-bookworm instead of alpine",
    };
  }
  if (cLibrary.family === "glibc" && !atLeast(cLibrary.version ?? "0", GLIBC)) {
    return {
      code: "old-glibc",
      problem: `this system has glibc ${cLibrary.version}, and Dawn's binary needs ${GLIBC.join(".")} or newer`,
      remedy: "upgrade to Debian 12, Ubuntu 22.04, RHEL 9 or newer, or run in a container of one of these",
    };
  }
  return null;
}

function diagnoseLoader(facts: HostFacts): Diagnosis[] {
  if (facts.vulkanLoader) return [];
  return [
    {
      code: "no-vulkan-loader",
      problem: "the Vulkan loader (libvulkan.so.1) is not installed",
      remedy: `${SETUP} it (Debian, Ubuntu: libvulkan1; Fedora: vulkan-loader; Arch: vulkan-icd-loader)`,
    },
  ];
}

function diagnoseOverride({ driverOverride: override, drivers }: HostFacts): Diagnosis[] {
  if (!override) return [];
  const usable = drivers.some((driver) => driver.libraryPath !== null);
  return [
    {
      code: "driver-override",
      problem: `${override.variable}=${override.value} makes Vulkan use ${usable ? "only these drivers" : "drivers that do not exist"}`,
      remedy: `unset ${override.variable}, or let it name the manifest of a driver that is installed`,
    },
  ];
}

function diagnoseNvidia(facts: HostFacts, signs: readonly GpuSign[]): Diagnosis[] {
  const { nvidia, container } = facts;
  if (!signs.some((sign) => sign.given)) {
    if (container) return [notGiven(signs[0]!, "--gpus all -e NVIDIA_DRIVER_CAPABILITIES=all")];
    return [
      {
        code: "nvidia-no-kernel-module",
        problem: `${signs[0]!.description}: NVIDIA's kernel module is not loaded`,
        remedy:
          "install NVIDIA's driver (Ubuntu: sudo ubuntu-drivers install; Debian: sudo apt-get install nvidia-driver from non-free) and reboot",
      },
    ];
  }
  const version = nvidia.kernelModuleVersion;
  if (version && nvidia.libraryVersion && version !== nvidia.libraryVersion) {
    return [
      {
        code: "nvidia-version-mismatch",
        problem: `NVIDIA's kernel module is ${version} but its libraries are ${nvidia.libraryVersion}`,
        remedy: container
          ? "remove the NVIDIA packages from the image: the container runtime brings the libraries of the host's driver"
          : `reboot, so that the kernel module of the installed driver ${nvidia.libraryVersion} is loaded`,
      },
    ];
  }
  if (nvidia.folderOffPath) {
    return [
      {
        code: "nvidia-libraries-off-path",
        problem: `NVIDIA's libraries are in ${nvidia.folderOffPath}, where the linker does not look`,
        remedy: `export LD_LIBRARY_PATH=${nvidia.folderOffPath} and set VK_DRIVER_FILES to the nvidia_icd.json under /usr/local/nvidia, or to one with libEGL_nvidia.so.0`,
      },
    ];
  }
  if (!nvidia.glxLibrary && !nvidia.eglLibrary) return [withoutGraphicsLibraries(facts)];
  const manifest = facts.drivers.find((driver) => /lib(GLX|EGL)_nvidia/.test(driver.library));
  if (!manifest) {
    return [
      {
        code: "nvidia-no-manifest",
        problem: "NVIDIA's libraries are installed but no Vulkan manifest (nvidia_icd.json) names them",
        remedy: HEADLESS_MANIFEST,
      },
    ];
  }
  // libGLX links against X; on a headless server these libraries may be absent, and the driver does not load.
  if (manifest.library.includes("libGLX") && (!manifest.libraryPath || facts.missingXLibraries.length > 0)) {
    const missing = manifest.libraryPath ? facts.missingXLibraries.join(" and ") : manifest.library;
    return [
      {
        code: "nvidia-headless",
        problem: `${manifest.manifest} names ${manifest.library}, which cannot be loaded on this headless machine without ${missing}`,
        remedy: nvidia.eglLibrary ? HEADLESS_MANIFEST : "sudo apt-get install libx11-6 libxext6",
      },
    ];
  }
  return manifest.libraryPath ? [] : [missingLibrary(manifest.manifest, manifest.library)];
}

function withoutGraphicsLibraries({ nvidia, container }: HostFacts): Diagnosis {
  if (container) {
    return {
      code: "nvidia-container-capabilities",
      problem: `this container has the GPU but not NVIDIA's graphics libraries, which hold the Vulkan driver (NVIDIA_DRIVER_CAPABILITIES=${nvidia.capabilities ?? ""})`,
      remedy:
        "start it with --gpus all -e NVIDIA_DRIVER_CAPABILITIES=all (graphics is the capability that Vulkan needs)",
    };
  }
  const branch = nvidia.kernelModuleVersion?.split(".")[0] ?? "<branch>";
  return {
    code: "nvidia-no-graphics-libraries",
    problem: "NVIDIA's driver is installed without its graphics libraries, which hold the Vulkan driver",
    remedy: `sudo apt-get install libnvidia-gl-${branch} (Ubuntu) or nvidia-vulkan-icd (Debian); elsewhere run NVIDIA's installer without its compute-only options`,
  };
}

/** AMD, Intel and other GPUs whose Vulkan driver is Mesa's. */
function diagnoseMesa(facts: HostFacts, signs: readonly GpuSign[]): Diagnosis[] {
  const sign = signs[0]!;
  if (!signs.some((each) => each.given)) {
    if (facts.container) return [notGiven(sign, "--device /dev/dri")];
    return [
      {
        code: "no-kernel-driver",
        problem: `${sign.description}: no kernel driver has made a render node (/dev/dri/renderD*) for it`,
        remedy: `install its firmware (Debian: ${sign.vendor === "AMD" ? "firmware-amd-graphics" : "firmware-misc-nonfree"}) and see \`dmesg\` for its driver's complaint`,
      },
    ];
  }
  const locked = facts.deviceNodes.filter((node) => node.path.includes("/renderD") && !node.accessible);
  if (locked.length > 0) {
    return [
      {
        code: "render-node-permission",
        problem: `this user may not open ${locked.map((node) => node.path).join(", ")}`,
        remedy:
          "sudo usermod -aG render $USER, and log in again (in a container: --group-add with the number of that group)",
      },
    ];
  }
  const pattern =
    { AMD: /radeon|amdvlk|amd_icd/, Intel: /libvulkan_intel/ }[sign.vendor] ?? /libvulkan_(?!lvp)/;
  const driver = facts.drivers.find((each) => pattern.test(each.library));
  if (driver) return driver.libraryPath ? [] : [missingLibrary(driver.manifest, driver.library)];
  return [
    {
      code: "mesa-driver-missing",
      problem: `Mesa's Vulkan driver for ${sign.description} is not installed`,
      remedy: `${SETUP} it (Debian, Ubuntu, Fedora: mesa-vulkan-drivers; Arch: vulkan-radeon or vulkan-intel)`,
    },
  ];
}

function diagnoseSoftware(facts: HostFacts): Diagnosis[] {
  if (!facts.vulkanLoader || facts.driverOverride) return [];
  if (facts.lavapipeVersion && !atLeast(facts.lavapipeVersion, LAVAPIPE)) {
    return [
      {
        code: "old-lavapipe",
        problem: `the software Vulkan driver is Mesa ${facts.lavapipeVersion}, which lacks features that Dawn requires`,
        remedy: `${SETUP} a newer one (Debian 12: mesa-vulkan-drivers from bookworm-backports)`,
      },
    ];
  }
  const software = facts.drivers.find((driver) => driver.library.includes("libvulkan_lvp"));
  if (software && !software.libraryPath) return [missingLibrary(software.manifest, software.library)];
  if (facts.drivers.some((driver) => driver.libraryPath !== null)) return [];
  return [
    {
      code: "no-vulkan-driver",
      problem: "no Vulkan driver is installed",
      remedy: `${SETUP} a software driver (Debian, Ubuntu, Fedora: mesa-vulkan-drivers; Arch: vulkan-swrast)`,
    },
  ];
}

function notGiven(sign: GpuSign, option: string): Diagnosis {
  return {
    code: "gpu-not-given-to-container",
    problem: `${sign.description} is in this machine but was not given to this container`,
    remedy: `start the container with ${option} to use it`,
  };
}

function missingLibrary(manifest: string, library: string): Diagnosis {
  return {
    code: "driver-library-missing",
    problem: `${manifest} names ${library}, which the linker does not find`,
    remedy: "reinstall the package that the manifest belongs to (Debian, Ubuntu: `dpkg -S` names it)",
  };
}

function atLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [foundMajor = 0, foundMinor = 0] = version.split(".").map(Number);
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
}
