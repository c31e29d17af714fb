// Reading a machine's Vulkan facts from a folder that stands for its root.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import {
  gpuSigns,
  type HostFacts,
  inspectHost,
  parseDistribution,
  parseLinkerCache,
} from "../../../engine/gpu/host.js";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "slm-host-test-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const LIBRARIES = "/usr/lib/x86_64-linux-gnu";

function file(path: string, text = ""): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function link(path: string, target: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  symlinkSync(target, join(root, path));
}

function manifest(path: string, library: string, rest = {}): void {
  file(
    path,
    JSON.stringify({
      file_format_version: "1.0.1",
      ICD: { library_path: library, api_version: "1.4.1", ...rest },
    }),
  );
}

function pciDevice(address: string, pciClass: string, vendor: string, kernelDriver?: string): void {
  const folder = `/sys/bus/pci/devices/${address}`;
  for (const [name, value] of Object.entries({ class: pciClass, vendor, device: "0x2330" }))
    file(`${folder}/${name}`, `${value}\n`);
  if (kernelDriver) link(`${folder}/driver`, `../../../bus/pci/drivers/${kernelDriver}`);
}

function renderNode(kernelDriver: string): void {
  file("/dev/dri/renderD128");
  link("/sys/class/drm/renderD128/device/driver", `../../bus/pci/drivers/${kernelDriver}`);
}

function inspect(env: Record<string, string> = {}, linkerCache = ""): HostFacts {
  const cLibrary = { family: "glibc", version: "2.36" } as const;
  return inspectHost({
    root,
    env: { HOME: "/home/user", ...env },
    platform: "linux",
    architecture: "x64",
    cLibrary,
    linkerCache,
  });
}

test("an empty machine has nothing, and nothing is an error", () => {
  const facts = inspect();
  assert.equal(facts.vulkanLoader, null);
  assert.deepEqual(facts.drivers, []);
  assert.equal(facts.distribution, null);
  assert.equal(facts.container, null);
  assert.deepEqual(facts.missingXLibraries, ["libX11.so.6", "libXext.so.6"]);
  assert.deepEqual(gpuSigns(facts), []);
});

test("the loader's path and version come from the linker's cache, a library path variable or the standard folders", () => {
  file("/opt/vulkan/libvulkan.so.1.4.300");
  link("/opt/vulkan/libvulkan.so.1", "libvulkan.so.1.4.300");
  const cache = "\tlibvulkan.so.1 (libc6,x86-64) => /opt/vulkan/libvulkan.so.1\n";
  const found = { path: "/opt/vulkan/libvulkan.so.1", version: "1.4.300" };
  assert.deepEqual(inspect({}, cache).vulkanLoader, found);
  assert.deepEqual(inspect({ LD_LIBRARY_PATH: "/absent:/opt/vulkan" }).vulkanLoader, found);
  file(`${LIBRARIES}/libvulkan.so.1`);
  assert.deepEqual(inspect().vulkanLoader, { path: `${LIBRARIES}/libvulkan.so.1`, version: null });
});

test("only libraries for this architecture are read from the linker's cache", () => {
  const text =
    "2 libs found in cache `/etc/ld.so.cache'\n" +
    "\tlibvulkan.so.1 (libc6) => /lib/i386-linux-gnu/libvulkan.so.1\n" +
    "\tlibvulkan.so.1 (libc6,x86-64, OS ABI: Linux 3.2.0) => /lib/x86_64-linux-gnu/libvulkan.so.1\n";
  assert.deepEqual(
    [...parseLinkerCache(text, "x64")],
    [["libvulkan.so.1", "/lib/x86_64-linux-gnu/libvulkan.so.1"]],
  );
  assert.equal(parseLinkerCache(text, "arm64").size, 0);
});

test("manifests are found where the loader looks, each with its library or without", () => {
  file(`${LIBRARIES}/libvulkan_lvp.so`, "…Mesa 22.3.6 (LLVM");
  manifest("/usr/share/vulkan/icd.d/lvp_icd.json", "libvulkan_lvp.so");
  manifest("/etc/vulkan/icd.d/nvidia_icd.json", "libGLX_nvidia.so.0");
  manifest("/home/user/.local/share/vulkan/icd.d/own.json", "../own.so");
  file("/home/user/.local/share/vulkan/own.so");
  manifest("/usr/share/vulkan/icd.d/lvp_icd.i686.json", "libvulkan_lvp.so", { library_arch: "32" });
  file("/usr/share/vulkan/icd.d/broken.json", "{");
  const facts = inspect();
  assert.deepEqual(
    facts.drivers.map((driver) => [driver.manifest, driver.libraryPath]),
    [
      ["/etc/vulkan/icd.d/nvidia_icd.json", null],
      ["/home/user/.local/share/vulkan/icd.d/own.json", "/home/user/.local/share/vulkan/own.so"],
      ["/usr/share/vulkan/icd.d/lvp_icd.json", `${LIBRARIES}/libvulkan_lvp.so`],
    ],
  );
  assert.equal(facts.lavapipeVersion, "22.3.6");
});

test("VK_DRIVER_FILES goes before VK_ICD_FILENAMES, and either replaces the search", () => {
  manifest("/usr/share/vulkan/icd.d/lvp_icd.json", "libvulkan_lvp.so");
  manifest("/opt/one.json", "libone.so");
  manifest("/opt/two.json", "libtwo.so");
  const old = inspect({ VK_ICD_FILENAMES: "/opt/two.json" });
  assert.deepEqual(old.driverOverride, { variable: "VK_ICD_FILENAMES", value: "/opt/two.json" });
  assert.deepEqual(
    old.drivers.map((driver) => driver.library),
    ["libtwo.so"],
  );
  const both = inspect({ VK_ICD_FILENAMES: "/opt/two.json", VK_DRIVER_FILES: "/opt/one.json:/absent.json" });
  assert.equal(both.driverOverride?.variable, "VK_DRIVER_FILES");
  assert.deepEqual(
    both.drivers.map((driver) => driver.library),
    ["libone.so"],
  );
  assert.equal(inspect({ VK_ADD_DRIVER_FILES: "/opt/one.json" }).drivers.length, 2);
});

test("os-release names the distribution and the release that it builds on", () => {
  const mint = parseDistribution(
    'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=vera\nUBUNTU_CODENAME=jammy\nPRETTY_NAME="Linux Mint 21"\n',
  );
  assert.deepEqual(mint, {
    id: "linuxmint",
    like: ["ubuntu", "debian"],
    version: "",
    codename: "jammy",
    name: "Linux Mint 21",
  });
  file("/usr/lib/os-release", "ID=debian\nVERSION_ID='12'\nVERSION_CODENAME=bookworm\n");
  assert.deepEqual(inspect().distribution, {
    id: "debian",
    like: [],
    version: "12",
    codename: "bookworm",
    name: "debian",
  });
});

test("containers are known by their marks", () => {
  assert.equal(inspect({ KUBERNETES_SERVICE_HOST: "10.0.0.1" }).container, "kubernetes");
  assert.equal(inspect({ container: "lxc" }).container, "lxc");
  file("/proc/1/cgroup", "0::/system.slice/containerd.service\n");
  assert.equal(inspect().container, "containerd");
  file("/.dockerenv");
  assert.equal(inspect().container, "docker");
});

test("NVIDIA's kernel module and libraries give their versions, for both kinds of module", () => {
  link(`${LIBRARIES}/libGLX_nvidia.so.0`, "libGLX_nvidia.so.580.65.06");
  file(`${LIBRARIES}/libGLX_nvidia.so.580.65.06`);
  file(
    "/proc/driver/nvidia/version",
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.57.08  Release Build  (dvs)\n",
  );
  const open = inspect({ NVIDIA_DRIVER_CAPABILITIES: "compute,utility" }).nvidia;
  assert.equal(open.kernelModuleVersion, "575.57.08");
  assert.equal(open.libraryVersion, "580.65.06");
  assert.equal(open.capabilities, "compute,utility");
  file(
    "/proc/driver/nvidia/version",
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54  Thu Feb 22 2024\nGCC version: 12.2.0\n",
  );
  assert.equal(inspect().nvidia.kernelModuleVersion, "550.54");
});

test("NVIDIA's libraries beside the linker's folders are noticed", () => {
  file("/usr/local/nvidia/lib64/libEGL_nvidia.so.0");
  assert.equal(inspect().nvidia.folderOffPath, "/usr/local/nvidia/lib64");
  const onPath = inspect({ LD_LIBRARY_PATH: "/usr/local/nvidia/lib64" }).nvidia;
  assert.equal(onPath.folderOffPath, null);
  assert.equal(onPath.eglLibrary, "/usr/local/nvidia/lib64/libEGL_nvidia.so.0");
});

test("GPUs count as such; consoles, virtual screens and devices of virtual machines do not", () => {
  pciDevice("0000:00:01.0", "0x030000", "0x1a03", "ast");
  pciDevice("0000:00:02.0", "0x030000", "0x1af4", "virtio-pci");
  pciDevice("0000:00:03.0", "0x020000", "0x8086", "e1000");
  pciDevice("0000:00:04.0", "0x030000", "0x10de", "vfio-pci");
  renderNode("virtio-pci");
  assert.deepEqual(gpuSigns(inspect()), []);
  pciDevice("0000:81:00.0", "0x030200", "0x10de");
  const [sign, ...others] = gpuSigns(inspect());
  assert.deepEqual(sign, {
    vendor: "NVIDIA",
    description: "NVIDIA GPU 10de:2330 at PCI 0000:81:00.0",
    given: false,
  });
  assert.deepEqual(others, []);
  file("/dev/nvidia0");
  assert.equal(gpuSigns(inspect())[0]?.given, true);
});

test("a device node alone is a sign too, as in containers and on boards without PCI", () => {
  file("/dev/nvidia3");
  assert.deepEqual(gpuSigns(inspect()), [
    { vendor: "NVIDIA", description: "NVIDIA GPU (/dev/nvidia*)", given: true },
  ]);
  rmSync(join(root, "dev"), { recursive: true });
  renderNode("v3d");
  assert.match(gpuSigns(inspect())[0]!.description, /kernel driver v3d/);
});

test("an Intel GPU is given where it has a render node", () => {
  pciDevice("0000:00:02.0", "0x030000", "0x8086", "i915");
  assert.equal(gpuSigns(inspect())[0]?.given, false);
  renderNode("i915");
  assert.equal(gpuSigns(inspect())[0]?.given, true);
});

test("this machine can be inspected", () => {
  const facts = inspectHost();
  assert.equal(facts.platform, process.platform);
  assert.equal(facts.nodeVersion, process.version);
  if (process.platform === "linux") assert.notEqual(facts.cLibrary.family, "none");
});
