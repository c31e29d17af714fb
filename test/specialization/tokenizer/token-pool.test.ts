// Ending the encoding threads while they have work: the process must wait for them, not run out of events.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

const rounds = 40;

test("closing a pool that is at work ends its threads before the process ends", async () => {
  const tokenizerModule = new URL("../../../specialization/tokenizer/tokenizer.js", import.meta.url);
  const poolModule = new URL("../../../specialization/tokenizer/token-pool.js", import.meta.url);
  // a process of its own: the test runner's timers would keep this one alive
  const program = `(async () => {
    const { Tokenizer } = await import(${JSON.stringify(tokenizerModule)});
    const { TokenPool } = await import(${JSON.stringify(poolModule)});
    const text = "one and two, ".repeat(4000);
    const tokenizer = await Tokenizer.train([text], { vocabularySize: 300 });
    for (let round = 0; round < ${rounds}; round++) {
      const pool = new TokenPool(tokenizer, 2);
      const first = pool.encode([text]);
      const rest = [1, 2, 3].map(() => pool.encode([text]).catch(() => {}));
      await first;
      await pool.close();
      await Promise.all(rest);
    }
    console.log("all closed");
  })()`;
  const { stdout } = await promisify(execFile)(process.execPath, ["-e", program]);
  assert.equal(stdout, "all closed\n");
});
