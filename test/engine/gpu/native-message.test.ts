/** Dawn's messages without its native call frames. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { withoutNativeFrames } from "../../../engine/gpu/native-message.js";

test("native call frames are left out of Dawn's messages, and nothing else", () => {
  const frame = "    at CheckVkSuccessImpl (/home/runner/dawn/src/dawn/native/vulkan/VulkanError.cpp:106)";
  const message = "vkCreateDevice failed with VK_ERROR_DEVICE_LOST";
  assert.equal(withoutNativeFrames(`${message}\n${frame}\n${frame}\n\n`), message);
  const validation =
    "Binding size (4) is too small.\n - While validating entries[0]\n   at offset 16 (of 32)";
  assert.equal(withoutNativeFrames(validation), validation);
});
