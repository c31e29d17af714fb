#!/usr/bin/env node
// The set-up, run before `npm run demo` and `npm test`: packages, compilation, a Vulkan driver.
// This file only checks the Node version, in syntax that old releases can parse, and hands over to sequence.mjs.

var required = [20, 19];
var found = process.versions.node.split(".").map(Number);

if (found[0] < required[0] || (found[0] === required[0] && found[1] < required[1])) {
  console.error(
    "setup: Node " +
      process.versions.node +
      " is too old: slm-forge needs Node " +
      required.join(".") +
      " or newer. Install a current release from https://nodejs.org or with a version manager.",
  );
  process.exit(1);
} else {
  import("./sequence.mjs").then((sequence) => sequence.main(process.argv.slice(2)));
}
