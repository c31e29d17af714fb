// Reading how the look for an adapter ended: found, none, crashed, hung, not loadable.

import assert from "node:assert/strict";
import { test } from "node:test";
import { readProbe } from "../../setup/adapter.mjs";

const ended = (changes) => readProbe({ status: 0, signal: null, stdout: "", stderr: "", ...changes });

test("an adapter is found between what Dawn prints on the same output", () => {
  const stdout =
    'Warning: maxDynamicUniformBuffers artificially reduced\n\nSLM_ADAPTER {"name":"NVIDIA H200","kind":"gpu"}\n';
  assert.deepEqual(ended({ stdout }), { adapter: { name: "NVIDIA H200", kind: "gpu" }, failure: null });
});

test("without an adapter, Dawn's first complaint is kept and its routine warnings are not", () => {
  const stdout =
    "Warning: x artificially reduced from 2 to 1\nWarning: vkCreateInstance: Found no drivers!\nSLM_ADAPTER null\n";
  assert.deepEqual(ended({ stdout }), {
    adapter: null,
    failure: "Warning: vkCreateInstance: Found no drivers!",
  });
  assert.deepEqual(ended({ stdout: "SLM_ADAPTER null\n" }), { adapter: null, failure: null });
});

test("a crash, a hang and a binary that does not load are told apart", () => {
  assert.match(ended({ status: null, signal: "SIGSEGV" }).failure, /crashed \(SIGSEGV\)/);
  assert.match(
    ended({ status: null, signal: "SIGKILL", error: { code: "ETIMEDOUT" } }).failure,
    /did not answer/,
  );
  const stderr = "node:internal\nError: /lib/libc.so.6: version `GLIBC_2.34' not found\n    at Object";
  assert.match(ended({ status: 1, stderr }).failure, /GLIBC_2.34/);
  assert.match(ended({ status: 3 }).failure, /status 3/);
});
