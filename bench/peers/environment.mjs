// What the peers, made for browsers, expect to find in the global scope: WebGPU's constants and classes, and
// a navigator with `gpu` and `userAgent`. Nothing else of a browser is needed as long as every read is
// asynchronous (synchronous reads go through OffscreenCanvas, which Node has not).
import { globals } from "webgpu";

/**
 * Makes `navigatorGpu` the `navigator.gpu` of this process.
 * @param {GPU} navigatorGpu what `create()` of npm `webgpu` returned, or any object with its
 *   `requestAdapter`: give one that ignores its options to make a peer use a chosen adapter. The caller keeps
 *   it referenced for the life of the process.
 */
export function installWebGPU(navigatorGpu) {
  Object.assign(globalThis, globals);
  const navigator = { gpu: navigatorGpu, userAgent: `Node.js/${process.versions.node}` };
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true, writable: true });
}
