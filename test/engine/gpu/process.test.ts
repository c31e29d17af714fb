/** A process that had a device ends by itself, with the right code, and takes no core once the device is gone. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const SCRIPT = fileURLToPath(new URL("./device-process.js", import.meta.url));

/** How long a process may live before it counts as one that does not end; it is no measure of speed. */
const GUARD_MS = 60_000;

interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a mode of device-process.ts; `interrupt` sends SIGINT when it is ready. Fails when the process does not end. */
function run(mode: string, interrupt = false): Promise<Outcome> {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [SCRIPT, mode], { stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    let sent = false;
    const guard = setTimeout(() => {
      child.kill("SIGKILL");
      fail(new Error(`"${mode}" did not end. It printed:\n${stdout}${stderr}`));
    }, GUARD_MS);
    child.stdout.on("data", (text) => {
      stdout += text;
      if (interrupt && !sent && stdout.includes("ready")) sent = child.kill("SIGINT");
    });
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    child.on("error", fail);
    child.on("close", (code, signal) => {
      clearTimeout(guard);
      done({ code, signal, stdout, stderr });
    });
  });
}

describe("a process with a device", () => {
  test("ends by itself after success", async () => {
    const { code, signal, stdout } = await run("success");
    assert.deepEqual([code, signal, stdout], [0, null, "disposed\n"]);
  });

  test("ends by itself when it is disposed of while work is queued", async () => {
    const { code, signal, stdout } = await run("disposed while work is queued");
    assert.deepEqual([code, signal, stdout], [0, null, "ready\ndisposed\n"]);
  });

  test("ends with a code and the message after an error that nobody catches", async () => {
    const { code, signal, stderr } = await run("an error that nobody catches");
    assert.deepEqual([code, signal], [1, null]);
    assert.match(stderr, /ShaderError: .*spin\.wgsl:1:\d+: error/);
  });

  test("ends with a code and the plan step after its device was lost", async () => {
    const { code, signal, stderr } = await run("a device lost in mid-plan");
    assert.deepEqual([code, signal], [1, null]);
    assert.match(stderr, /DeviceLostError: .*"spin" of spinning/);
  });

  test("ends on SIGINT in mid-run, by the signal or through its own handler", async () => {
    const plain = await run("endless", true);
    assert.deepEqual([plain.code, plain.signal], [null, "SIGINT"]);
    const handled = await run("endless, with a handler", true);
    assert.deepEqual([handled.code, handled.signal, handled.stdout], [3, null, "ready\ndisposed\n"]);
  });

  test("leaves no core busy once the device is gone", async () => {
    const { code, stdout } = await run("idle");
    assert.equal(code, 0);
    const share = Number(/busy (\S+)/.exec(stdout)![1]);
    assert.ok(share < 0.1, `${(share * 100).toFixed(0)} % of a core after dispose()`);
  });
});
