// A child process that asks Dawn for its best adapter and prints one line: SLM_ADAPTER and JSON.
// A process of its own, because a broken Vulkan driver may crash or hang, and because Dawn keeps a process busy.

import { create } from "webgpu";

// Kept referenced until the end: Dawn crashes when what create() returned is collected.
const gpu = create([]);
// Dawn orders adapters discrete, integrated, software: a software one comes first only where there is no other.
const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
const info = adapter?.info;
const found = info && {
  name: info.description || info.device || info.vendor,
  kind:
    info.isFallbackAdapter || /llvmpipe|lavapipe|swiftshader/i.test(`${info.description} ${info.device}`)
      ? "software"
      : "gpu",
};
process.stdout.write(`\nSLM_ADAPTER ${JSON.stringify(found ?? null)}\n`, () => process.exit(gpu ? 0 : 1));
