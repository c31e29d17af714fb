import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { slmPath } from "../../cli/version.js";
import { CliError } from "../../extension/src/cli/cli-error.js";
import { findCli } from "../../extension/src/cli/find-cli.js";
import { findNode } from "../../extension/src/cli/find-node.js";
import { cleanEnvironment, SlmCli } from "../../extension/src/cli/slm-cli.js";

const folder = mkdtempSync(join(tmpdir(), "slm-find-"));
after(() => rmSync(folder, { recursive: true }));

function file(path: string, text: string): string {
  const whole = join(folder, path);
  mkdirSync(dirname(whole), { recursive: true });
  writeFileSync(whole, text);
  return whole;
}

function install(path: string): string {
  file(join(path, "package.json"), JSON.stringify({ name: "slm-forge", bin: { slm: "./main.js" } }));
  return file(join(path, "main.js"), "");
}

test("the setting, the workspace's version, the checkout and the PATH come in this order", () => {
  const pinned = install("project/node_modules/slm-forge");
  const global = install("lib/node_modules/slm-forge");
  mkdirSync(join(folder, "bin"));
  symlinkSync(global, join(folder, "bin", "slm"));
  const given = install("elsewhere");
  const below = join(folder, "project", "data", "texts");
  const path = join(folder, "bin");
  assert.deepEqual(findCli({ setting: dirname(given), folders: [below], path }), {
    path: given,
    source: "setting",
  });
  assert.deepEqual(findCli({ setting: "", folders: [below], path }), { path: pinned, source: "workspace" });
  assert.equal(findCli({ setting: "", folders: [join(folder, "elsewhere")], path }).source, "checkout");
  assert.deepEqual(findCli({ setting: "", folders: [join(folder, "none")], path }), {
    path: global,
    source: "PATH",
  });
  assert.throws(
    () => findCli({ setting: "", folders: [join(folder, "none")], path: "" }),
    /npm install --global \. in its checkout/,
  );
  assert.throws(
    () => findCli({ setting: below, folders: [], path }),
    /slmForge\.cliPath: there is no slm at/,
  );
});

test("a Node that is too old is passed over, and named when there is no other", async () => {
  const old = file("old/node", "#!/bin/sh\necho v18.20.4\n");
  chmodSync(old, 0o755);
  const path = `${dirname(old)}:${dirname(process.execPath)}`;
  assert.equal((await findNode({ setting: "", own: undefined, path })).path, process.execPath);
  assert.equal(
    (await findNode({ setting: "", own: process.execPath, path: "" })).version,
    process.versions.node,
  );
  await assert.rejects(
    findNode({ setting: "", own: undefined, path: dirname(old) }),
    /old\/node \(18\.20\.4\)/,
  );
  await assert.rejects(findNode({ setting: old, own: process.execPath, path }), /is Node 18\.20\.4/);
  await assert.rejects(findNode({ setting: folder, own: process.execPath, path }), /is no Node/);
});

test("commands run with input, their failures told in the CLI's own words", async () => {
  const lines: string[] = [];
  const main = slmPath();
  const cli = new SlmCli({
    locate: async () => ({ program: process.execPath, parameters: [main] }),
    log: (line) => lines.push(line),
  });
  const { code, stdout } = await cli.run(["--version"]);
  assert.equal(code, 0);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
  assert.match(lines[0], /^slm --version: exit code 0 after \d+ ms$/);
  assert.deepEqual(await cli.json(["runs", "list", "--runs", folder]), []);
  await assert.rejects(cli.json(["runs", "show", "none", "--runs", folder]), (error: Error) => {
    assert.ok(error instanceof CliError);
    return /none/.test(error.message) && !/^slm:|\n\s+at /.test(error.message);
  });
  const stopped = new AbortController();
  const waiting = cli.run(["board", folder], { signal: stopped.signal });
  setTimeout(() => stopped.abort(), 300);
  assert.notEqual((await waiting).code, 0);
});

test("what the editor keeps in the environment for itself does not reach slm", () => {
  const env = { PATH: "/bin", NODE_OPTIONS: "--inspect", VSCODE_IPC: "x", ELECTRON_RUN_AS_NODE: "1" };
  assert.deepEqual(cleanEnvironment(env), { PATH: "/bin" });
});
