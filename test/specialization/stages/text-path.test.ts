import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { domainName, textPath } from "../../../specialization/stages/text-path.js";

const folder = mkdtempSync(join(tmpdir(), "slm-text-"));
after(() => rmSync(folder, { recursive: true }));

test("a folder of shards is named by a glob, one of documents by itself", async () => {
  assert.equal(await textPath(folder), folder);
  writeFileSync(join(folder, "a.txt"), "");
  assert.equal(await textPath(folder), folder);
  writeFileSync(join(folder, "b.jsonl.gz"), "");
  assert.equal(await textPath(folder), folder, "half of the files are documents");
  writeFileSync(join(folder, "c.jsonl.gz"), "");
  assert.equal(await textPath(folder), join(folder, "*.jsonl.gz"));
});

test("a domain is called after its folder, in letters that names may have", () => {
  assert.equal(domainName("/texts/Medical notes (2024)"), "Medical-notes-2024-");
  assert.equal(domainName("/texts/.hidden"), "hidden");
  assert.equal(domainName("/texts/日本"), "domain");
});
