/** From a document of a clustering to its line in the file, over files that were really read, cut and clustered. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { sourceLine } from "../../extension/host-data/source-line.js";
import { Clusters, type StoredDocument, StoredDocuments } from "../../specialization/clusters/index.js";
import { TopicCorpus } from "../specialization/clusters/topics.js";
import { clusterFiles } from "./example-job.js";

let corpus: TopicCorpus;
let units: readonly StoredDocument[];
before(async () => {
  corpus = await TopicCorpus.create();
  const records = Array.from({ length: 8 }, (_, at) => JSON.stringify({ text: verses(`record ${at}`, 4) }));
  writeFileSync(corpus.path("records.jsonl"), `${records.join("\n")}\n`);
  const paragraphs = Array.from({ length: 8 }, (_, at) => verses(`paragraph ${at}`, 3));
  writeFileSync(corpus.path("paragraphs.txt"), `\n${paragraphs.join("\n \n\n")}\n`);
  mkdirSync(corpus.path("folder"));
  writeFileSync(join(corpus.path("folder"), "long.md"), `\n\n${verses("file", 40)}`);
  writeFileSync(join(corpus.path("folder"), "data.json"), '{\n  "of": "a folder"\n}\n');
  const paths = [corpus.path("records.jsonl"), corpus.path("paragraphs.txt"), corpus.path("folder")];
  const folder = corpus.path("clusters");
  await clusterFiles(corpus, folder, { paths, textSeparator: "blank-line" }, 2, "--window", "32");
  const clusters = await Clusters.open(folder);
  const documents = await StoredDocuments.open(clusters);
  units = Array.from(clusters.assignments, (_, unit) => documents.read(unit));
  documents.close();
});
after(() => corpus?.remove());

/** Lines that differ from all others. */
function verses(what: string, lines: number): string {
  return Array.from({ length: lines }, (_, at) => `${what}, verse ${at} of ${lines}: so it goes on`).join(
    "\n",
  );
}

/** Units of a file, each with the line that an editor would show. */
async function shown(name: string): Promise<{ text: string; line: string; number: number }[]> {
  const own = units.filter(({ place }) => place.path.endsWith(name));
  assert.ok(own.length > 0, name);
  const lines = readFileSync(own[0].place.path, "utf8").split("\n");
  const numbers = await Promise.all(own.map(({ place }) => sourceLine(place)));
  return own.map(({ text }, at) => ({ text, number: numbers[at], line: lines[numbers[at] - 1] }));
}

test("a record of JSON lines is at its line, whichever part of it is meant", async () => {
  const all = await shown("records.jsonl");
  assert.ok(all.length > 8, "records are cut into several windows");
  for (const { text, line } of all) assert.ok(JSON.parse(line).text.includes(text), `${text} / ${line}`);
});

test("a part of separated text is at its own line", async () => {
  const all = await shown("paragraphs.txt");
  assert.ok(all.length > 8);
  for (const { text, line } of all) assert.ok(line.includes(text.split("\n")[0]), `${text} / ${line}`);
});

test("a file of a folder is at its beginning, and its later parts at theirs", async () => {
  const all = await shown("long.md");
  assert.equal(all[0].number, 1);
  assert.ok(all.length > 8);
  for (const { text, line } of all) assert.ok(line.includes(text.split("\n")[0]), `${text} / ${line}`);
  assert.ok(all.at(-1)!.number > 30);
  assert.equal((await shown("data.json"))[0].number, 1);
});

test("what no editor shows is said with its name", async () => {
  await assert.rejects(sourceLine({ path: "/a/b.jsonl.gz", offset: 0 }), /b\.jsonl\.gz: is compressed/);
  await assert.rejects(
    sourceLine({ path: "/nowhere/b.jsonl", offset: 0 }),
    /b\.jsonl: is not there any more/,
  );
});
