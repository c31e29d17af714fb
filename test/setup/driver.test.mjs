// Carrying out an installation, with an apt-get on the path that writes down how it was called.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { install } from "../../setup/driver.mjs";

const SOURCES = [
  {
    uri: "http://mirror.example/debian",
    suite: "bookworm",
    components: ["main"],
    options: { "signed-by": "/k.gpg" },
  },
];
const BACKPORTS = {
  packages: ["mesa-vulkan-drivers/bookworm-backports"],
  backports: "bookworm",
  byHand: "sudo by hand",
};
const skip = process.platform === "linux" ? false : "apt is Linux's";
const path = process.env.PATH;
let folder;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "slm-driver-test-"));
  process.env.PATH = `${folder}${delimiter}${path}`;
});
afterEach(() => {
  process.env.PATH = path;
  rmSync(folder, { recursive: true });
});

/** Writes an apt-get that logs its arguments and the sources file it was given, and ends with `status`. */
function recordingApt(status) {
  const script = `#!/bin/sh
echo "$DEBIAN_FRONTEND apt-get $*" >> ${folder}/log
for word in "$@"; do
  case $word in Dir::Etc::SourceList=*) cat "\${word#*=}" >> ${folder}/sources; echo "\${word#*=}" > ${folder}/where ;; esac
done
case $* in *install*) exit ${status} ;; esac
`;
  writeFileSync(join(folder, "apt-get"), script, { mode: 0o755 });
}

const logged = () => readFileSync(join(folder, "log"), "utf8").trim().split("\n");

test("backports are installed from private sources that are gone afterwards", { skip }, async () => {
  recordingApt(0);
  await install({ recipe: BACKPORTS, escalate: [] }, { sources: SOURCES });
  const [update, installation, ...rest] = logged();
  assert.match(update, /^noninteractive apt-get .*Dir::State::Lists=\S+ .*update$/);
  assert.match(installation, /install -y --no-install-recommends mesa-vulkan-drivers\/bookworm-backports$/);
  assert.deepEqual(rest, []);
  assert.match(
    readFileSync(join(folder, "sources"), "utf8"),
    /^deb \[signed-by=\/k.gpg\] http:\/\/mirror.example\/debian bookworm-backports main$/m,
  );
  assert.equal(existsSync(readFileSync(join(folder, "where"), "utf8").trim()), false);
});

test("a plain installation uses the system's sources", { skip }, async () => {
  recordingApt(0);
  await install({ recipe: { packages: ["libvulkan1"], byHand: "" }, escalate: [] }, { sources: SOURCES });
  assert.equal(logged().length, 2);
  assert.equal(existsSync(join(folder, "sources")), false);
});

test("a failed installation names its command, its status and the way by hand, and leaves nothing behind", {
  skip,
}, async () => {
  recordingApt(100);
  await assert.rejects(install({ recipe: BACKPORTS, escalate: [] }, { sources: SOURCES }), (error) => {
    assert.equal(error.constructor.name, "SetupError");
    assert.match(error.message, /apt-get .*install .* ended with status 100/);
    assert.match(error.message, /sudo by hand$/);
    return true;
  });
  assert.equal(existsSync(readFileSync(join(folder, "where"), "utf8").trim()), false);
});
