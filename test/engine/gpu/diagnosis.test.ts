// The diagnosis of a machine on which Vulkan finds no GPU: one synthetic machine for each cause.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type DiagnosisCode, diagnose } from "../../../engine/gpu/diagnosis.js";
import type { DisplayDevice, HostFacts, NvidiaFacts, VulkanDriver } from "../../../engine/gpu/host.js";

const LAVAPIPE: VulkanDriver = {
  manifest: "/usr/share/vulkan/icd.d/lvp_icd.json",
  library: "libvulkan_lvp.so",
  libraryPath: "/usr/lib/libvulkan_lvp.so",
  apiVersion: "1.4.305",
};
const NVIDIA_DRIVER: VulkanDriver = {
  manifest: "/etc/vulkan/icd.d/nvidia_icd.json",
  library: "libGLX_nvidia.so.0",
  libraryPath: "/usr/lib/libGLX_nvidia.so.0",
  apiVersion: "1.4.312",
};
const NO_NVIDIA: NvidiaFacts = {
  kernelModuleVersion: null,
  libraryVersion: null,
  glxLibrary: null,
  eglLibrary: null,
  folderOffPath: null,
  capabilities: null,
};
const WORKING_NVIDIA: NvidiaFacts = {
  ...NO_NVIDIA,
  kernelModuleVersion: "580.65.06",
  libraryVersion: "580.65.06",
  glxLibrary: "/usr/lib/libGLX_nvidia.so.0",
  eglLibrary: "/usr/lib/libEGL_nvidia.so.0",
};

function display(vendor: string, vendorId: string): DisplayDevice {
  return { address: "0000:01:00.0", vendorId, deviceId: "0x2330", vendor, kernelDriver: null };
}

/** A Debian 12 with loader and software driver; each case changes what it is about. */
function machine(changes: Partial<HostFacts> = {}): HostFacts {
  return {
    platform: "linux",
    architecture: "x64",
    nodeVersion: "v20.19.0",
    cLibrary: { family: "glibc", version: "2.36" },
    distribution: {
      id: "debian",
      like: [],
      version: "12",
      codename: "bookworm",
      name: "Debian GNU/Linux 12",
    },
    container: null,
    vulkanLoader: { path: "/usr/lib/libvulkan.so.1", version: "1.3.239" },
    driverOverride: null,
    drivers: [LAVAPIPE],
    lavapipeVersion: "25.0.7",
    displayDevices: [],
    deviceNodes: [],
    nvidia: NO_NVIDIA,
    missingXLibraries: [],
    display: null,
    ...changes,
  };
}

/** A machine with an NVIDIA GPU whose driver works, then changed. */
function nvidiaMachine(nvidia: Partial<NvidiaFacts>, changes: Partial<HostFacts> = {}): HostFacts {
  return machine({
    displayDevices: [display("NVIDIA", "0x10de")],
    deviceNodes: [{ path: "/dev/nvidia0", kernelDriver: null, accessible: true }],
    drivers: [LAVAPIPE, NVIDIA_DRIVER],
    nvidia: { ...WORKING_NVIDIA, ...nvidia },
    ...changes,
  });
}

const WITHOUT_LIBRARIES = { libraryVersion: null, glxLibrary: null, eglLibrary: null };
const SOFTWARE = [{ kind: "software" }] as const;

test("nothing is wrong with a GPU, off Linux, or with software where there is no GPU", () => {
  assert.deepEqual(diagnose(nvidiaMachine(WITHOUT_LIBRARIES), [{ kind: "software" }, { kind: "gpu" }]), []);
  assert.deepEqual(diagnose(machine({ platform: "darwin", vulkanLoader: null, drivers: [] })), []);
  assert.deepEqual(diagnose(machine(), SOFTWARE), []);
});

const cases: readonly [string, HostFacts, DiagnosisCode, RegExp, RegExp][] = [
  [
    "musl",
    machine({ cLibrary: { family: "musl", version: null }, vulkanLoader: null }),
    "musl",
    /musl/,
    /node:22-bookworm/,
  ],
  [
    "an old glibc",
    machine({ cLibrary: { family: "glibc", version: "2.31" } }),
    "old-glibc",
    /2\.31.*2\.34/,
    /Debian 12/,
  ],
  [
    "an NVIDIA container with compute capabilities only",
    nvidiaMachine(
      { ...WITHOUT_LIBRARIES, capabilities: "compute,utility" },
      { container: "docker", drivers: [] },
    ),
    "nvidia-container-capabilities",
    /NVIDIA_DRIVER_CAPABILITIES=compute,utility/,
    /-e NVIDIA_DRIVER_CAPABILITIES=all.*graphics/,
  ],
  [
    "NVIDIA's headless packages outside a container",
    nvidiaMachine(WITHOUT_LIBRARIES, { drivers: [] }),
    "nvidia-no-graphics-libraries",
    /without its graphics libraries/,
    /libnvidia-gl-580/,
  ],
  [
    "a kernel module of another version than the libraries",
    nvidiaMachine({ kernelModuleVersion: "575.57.08" }),
    "nvidia-version-mismatch",
    /575\.57\.08.*580\.65\.06/,
    /reboot/,
  ],
  [
    "the same mismatch in a container",
    nvidiaMachine({ kernelModuleVersion: "575.57.08" }, { container: "podman" }),
    "nvidia-version-mismatch",
    /575\.57\.08/,
    /remove the NVIDIA packages from the image/,
  ],
  [
    "a manifest whose library needs X on a headless server",
    nvidiaMachine({}, { missingXLibraries: ["libX11.so.6", "libXext.so.6"] }),
    "nvidia-headless",
    /libGLX_nvidia.*libX11\.so\.6 and libXext\.so\.6/,
    /libEGL_nvidia\.so\.0.*VK_DRIVER_FILES=/,
  ],
  [
    "the same without NVIDIA's EGL library",
    nvidiaMachine({ eglLibrary: null }, { missingXLibraries: ["libX11.so.6"] }),
    "nvidia-headless",
    /libX11/,
    /apt-get install libx11-6/,
  ],
  [
    "a manifest that names a GLX library which only EGL's stands beside",
    nvidiaMachine({ glxLibrary: null }, { drivers: [{ ...NVIDIA_DRIVER, libraryPath: null }] }),
    "nvidia-headless",
    /without libGLX_nvidia\.so\.0/,
    /libEGL_nvidia/,
  ],
  [
    "NVIDIA's libraries without a manifest",
    nvidiaMachine({}, { drivers: [LAVAPIPE] }),
    "nvidia-no-manifest",
    /nvidia_icd\.json/,
    /VK_DRIVER_FILES=/,
  ],
  [
    "NVIDIA's libraries in a folder that the linker does not search",
    nvidiaMachine(
      { ...WITHOUT_LIBRARIES, folderOffPath: "/usr/local/nvidia/lib64" },
      { container: "kubernetes" },
    ),
    "nvidia-libraries-off-path",
    /\/usr\/local\/nvidia\/lib64/,
    /LD_LIBRARY_PATH=\/usr\/local\/nvidia\/lib64/,
  ],
  [
    "an NVIDIA GPU without its kernel module",
    nvidiaMachine(NO_NVIDIA, { deviceNodes: [] }),
    "nvidia-no-kernel-module",
    /kernel module is not loaded/,
    /nvidia-driver/,
  ],
  [
    "an NVIDIA GPU of the host that the container was not given",
    nvidiaMachine(NO_NVIDIA, { deviceNodes: [], container: "docker" }),
    "gpu-not-given-to-container",
    /not given to this container/,
    /--gpus all -e NVIDIA_DRIVER_CAPABILITIES=all/,
  ],
  [
    "an AMD GPU of the host that the container was not given",
    machine({ displayDevices: [display("AMD", "0x1002")], container: "docker" }),
    "gpu-not-given-to-container",
    /AMD GPU 1002:2330/,
    /--device \/dev\/dri/,
  ],
  [
    "an AMD GPU without its kernel driver",
    machine({ displayDevices: [display("AMD", "0x1002")] }),
    "no-kernel-driver",
    /render node/,
    /firmware-amd-graphics/,
  ],
  [
    "a render node that the user may not open",
    machine({
      displayDevices: [display("Intel", "0x8086")],
      deviceNodes: [{ path: "/dev/dri/renderD128", kernelDriver: "i915", accessible: false }],
    }),
    "render-node-permission",
    /\/dev\/dri\/renderD128/,
    /usermod -aG render/,
  ],
  [
    "an Intel GPU without Mesa's driver",
    machine({
      displayDevices: [display("Intel", "0x8086")],
      deviceNodes: [{ path: "/dev/dri/renderD128", kernelDriver: "i915", accessible: true }],
    }),
    "mesa-driver-missing",
    /Intel GPU/,
    /npm run setup.*mesa-vulkan-drivers/,
  ],
  [
    "a GPU behind Windows",
    machine({ deviceNodes: [{ path: "/dev/dxg", kernelDriver: null, accessible: true }] }),
    "windows-host-gpu",
    /WSL/,
    /Windows itself/,
  ],
  [
    "a GPU for which all seems there",
    nvidiaMachine({}),
    "unexplained",
    /nothing known is missing/,
    /VK_LOADER_DEBUG/,
  ],
];
for (const [name, facts, code, problem, remedy] of cases) {
  test(`${name} is ${code}`, () => {
    const [diagnosis, ...others] = diagnose(facts, SOFTWARE);
    assert.ok(diagnosis, "a diagnosis");
    assert.equal(diagnosis.code, code);
    assert.match(diagnosis.problem, problem);
    assert.match(diagnosis.remedy, remedy);
    assert.ok(!`${diagnosis.problem}${diagnosis.remedy}`.includes("\n"), "one line each");
    assert.deepEqual(others, []);
  });
}

const withoutAdapter: readonly [string, Partial<HostFacts>, DiagnosisCode, RegExp][] = [
  [
    "no loader",
    { vulkanLoader: null, drivers: [], lavapipeVersion: null },
    "no-vulkan-loader",
    /npm run setup.*libvulkan1/,
  ],
  [
    "no driver",
    { drivers: [], lavapipeVersion: null },
    "no-vulkan-driver",
    /npm run setup.*mesa-vulkan-drivers/,
  ],
  [
    "Debian 12's own lavapipe",
    { lavapipeVersion: "22.3.6" },
    "old-lavapipe",
    /npm run setup.*bookworm-backports/,
  ],
  [
    "a manifest without its library",
    { drivers: [{ ...LAVAPIPE, libraryPath: null }], lavapipeVersion: null },
    "driver-library-missing",
    /reinstall/,
  ],
  [
    "a variable that names a driver that does not exist",
    {
      driverOverride: { variable: "VK_DRIVER_FILES", value: "/absent.json" },
      drivers: [],
      lavapipeVersion: null,
    },
    "driver-override",
    /unset VK_DRIVER_FILES/,
  ],
  ["nothing known", {}, "unexplained", /VK_LOADER_DEBUG/],
];
for (const [name, changes, code, remedy] of withoutAdapter) {
  test(`without any adapter, ${name} is ${code}`, () => {
    const found = diagnose(machine(changes));
    assert.deepEqual(
      found.map((diagnosis) => diagnosis.code),
      [code],
    );
    assert.match(found[0]!.remedy, remedy);
  });
}

test("a variable that names the driver is a fault only where it may hide a GPU", () => {
  const driverOverride = { variable: "VK_DRIVER_FILES", value: LAVAPIPE.manifest };
  assert.deepEqual(diagnose(machine({ driverOverride }), SOFTWARE), []);
  const [hiding] = diagnose(nvidiaMachine({}, { driverOverride }), SOFTWARE);
  assert.equal(hiding?.code, "driver-override");
  assert.match(hiding.problem, /only these drivers/);
});

test("an accepted lavapipe is not called old when something else hides it", () => {
  for (const lavapipeVersion of ["23.2.1", "25.0.7", "26.1.6"]) {
    assert.deepEqual(
      diagnose(machine({ lavapipeVersion })).map((diagnosis) => diagnosis.code),
      ["unexplained"],
    );
  }
});

test("a GPU that has its driver but no loader lacks only the loader", () => {
  const found = diagnose(nvidiaMachine({}, { vulkanLoader: null }));
  assert.deepEqual(
    found.map((diagnosis) => diagnosis.code),
    ["no-vulkan-loader"],
  );
});

test("with a working loader and a driver, two GPUs each get their own line", () => {
  const facts = nvidiaMachine(WITHOUT_LIBRARIES, {
    displayDevices: [display("NVIDIA", "0x10de"), display("AMD", "0x1002")],
    drivers: [LAVAPIPE],
  });
  assert.deepEqual(
    diagnose(facts, SOFTWARE).map((diagnosis) => diagnosis.code),
    ["nvidia-no-graphics-libraries", "no-kernel-driver"],
  );
});
