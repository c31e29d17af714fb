/** Embeddings: units, LSI, given vectors; interruption, damage and mismatch. */
import assert from "node:assert/strict";
import { readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { type Gpu, openGpu, toHalf } from "../../../engine/gpu/index.js";
import { Random } from "../../../engine/random.js";
import {
  buildEmbeddings,
  ClustersError,
  Embeddings,
  fitLsi,
  givenVectors,
  LsiEncoder,
  Units,
} from "../../../specialization/clusters/index.js";
import { NpyFile, readNpy, writeNpy } from "../../../specialization/clusters/npy.js";
import { Tokenizer, type TokenShards } from "../../../specialization/tokenizer/index.js";
import { writeParquetLists } from "./parquet-lists.js";
import { TopicCorpus, topicDocuments } from "./topics.js";

let corpus: TopicCorpus;
let gpu: Gpu;
let tokens: TokenShards;
before(async () => {
  corpus = await TopicCorpus.create();
  gpu = await openGpu();
  tokens = await corpus.tokens(topicDocuments({ documents: 150, topics: [0, 1, 2] }));
});
after(async () => {
  tokens.close();
  gpu.dispose();
  await corpus.remove();
});

async function contents(folder: string): Promise<Map<string, string>> {
  const names = (await readdir(folder))
    .filter((name) => /^(vectors|units)-\d+\.(f32|bin)$/.test(name))
    .sort();
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, (await readFile(`${folder}/${name}`)).toString("hex")] as const),
    ),
  );
}

describe("units", () => {
  test("every token but those that end documents is in one unit, none longer than the window", async () => {
    const texts = [0, 1, 3, 40, 200].map((words, offset) => ({
      text: Array(words).fill("balo").join(" "),
      shard: "s",
      offset,
    }));
    const shards = await corpus.tokens(texts);
    const units = new Units(shards, 16);
    const all = [...units.units()];
    assert.equal(all.length, units.count);
    for (const [document, { start, length }] of [...shards.documents()].entries()) {
      const own = all.filter((unit) => unit.document === document);
      assert.ok(own.length >= 1);
      let at = start;
      for (const [window, unit] of own.entries()) {
        assert.deepEqual([unit.start, unit.window], [at, window]);
        assert.ok(unit.length <= 16);
        at += unit.length;
      }
      assert.equal(at, start + length - 1);
      const lengths = own.map((unit) => unit.length);
      assert.ok(Math.max(...lengths) - Math.min(...lengths) < own.length, "even windows");
    }
    for (const index of [0, 1, 5, units.count - 1]) {
      assert.deepEqual(units.unit(index), all[index]);
      assert.deepEqual([...units.units(index)], all.slice(index));
    }
    const only = Uint32Array.of(1, 4, 5, units.count - 1);
    const picked = [...units.batches(2, { only })].flatMap((batch) => batch.units);
    assert.deepEqual(
      picked,
      Array.from(only, (index) => all[index]),
    );
    shards.close();
  });

  test("a window that makes no sense is refused", () => {
    assert.throws(() => new Units(tokens, 0), /window.*\(got 0\)/);
  });
});

describe("LSI", () => {
  test("documents of one topic are nearer to each other than to others", async () => {
    const units = new Units(tokens);
    const embeddings = await buildEmbeddings(gpu, {
      folder: corpus.path("lsi"),
      units,
      method: { fit: { dimensions: 8 } },
    });
    assert.equal(embeddings.rows, 150);
    assert.equal(embeddings.dimensions, 8);
    const rows = embeddings.read(0, 150);
    const dot = (i: number, j: number) => {
      let sum = 0;
      for (let c = 0; c < 8; c++) sum += rows[i * 8 + c] * rows[j * 8 + c];
      return sum;
    };
    for (let i = 0; i < 150; i++) {
      assert.ok(Math.abs(dot(i, i) - 1) < 1e-5, "unit length");
      assert.ok(dot(i, (i + 3) % 150) > dot(i, (i + 1) % 150), `document ${i}`);
    }
    assert.deepEqual(embeddings.gather([7, 3, 4, 149]).subarray(8, 24), rows.subarray(24, 40));
    assert.ok(embeddings.units().every(({ captured }) => captured > 0 && captured <= 1.0001));
    assert.ok(embeddings.manifest.cost.flops! > 0);
    assert.throws(() => embeddings.read(149, 2), RangeError);
    embeddings.close();
  });

  test("the same seed gives the same bytes; a finished folder is opened, another's refused", async () => {
    const units = new Units(tokens);
    const method = { fit: { dimensions: 6, seed: 5 } };
    for (const name of ["same-a", "same-b", "same-a"]) {
      (await buildEmbeddings(gpu, { folder: corpus.path(name), units, method })).close();
    }
    assert.deepEqual(await contents(corpus.path("same-a")), await contents(corpus.path("same-b")));
    await assert.rejects(
      buildEmbeddings(gpu, { folder: corpus.path("same-a"), units, method: { fit: { dimensions: 7 } } }),
      /same-a: holds embeddings of other tokens or other settings/,
    );
  });

  test("an interrupted run goes on and ends in the same bytes", async () => {
    const units = new Units(tokens);
    const method = { fit: { dimensions: 6, seed: 5 } };
    const folder = corpus.path("interrupted");
    const stop = new AbortController();
    const running = buildEmbeddings(gpu, {
      folder,
      units,
      method,
      shardUnits: 40,
      signal: stop.signal,
      onProgress: ({ units: done }) => {
        if (done >= 80) stop.abort(new Error("stopped here"));
      },
    });
    await assert.rejects(running, /stopped here/);
    const kept = await contents(`${folder}.partial`);
    assert.ok(kept.size >= 4, `${[...kept.keys()]}`);
    /* damage done meanwhile is mended */
    await truncate(`${folder}.partial/vectors-00000.f32`, 100);
    (await buildEmbeddings(gpu, { folder, units, method, shardUnits: 40 })).close();
    const whole = await buildEmbeddings(gpu, {
      folder: corpus.path("uninterrupted"),
      units,
      method,
      shardUnits: 40,
    });
    assert.deepEqual(await contents(folder), await contents(corpus.path("uninterrupted")));
    const onePiece = await Embeddings.open(corpus.path("same-a"));
    assert.deepEqual(whole.read(0, 150), onePiece.read(0, 150), "shards change nothing");
    assert.deepEqual(whole.gather([39, 40, 119, 120]), onePiece.gather([39, 40, 119, 120]));
    whole.close();
    onePiece.close();
  });

  test("new documents are folded in with the saved model", async () => {
    const units = new Units(tokens);
    const model = await fitLsi(gpu, units, { dimensions: 8 });
    const first = await buildEmbeddings(gpu, { folder: corpus.path("fold-a"), units, method: { model } });
    const same = await corpus.tokens(topicDocuments({ documents: 150, topics: [0, 1, 2] }).slice(30, 60));
    const folded = await buildEmbeddings(gpu, {
      folder: corpus.path("fold-b"),
      units: new Units(same),
      method: { model },
    });
    assert.deepEqual(
      folded.read(0, 30),
      first.read(30, 30),
      "a document's vector does not depend on its neighbours",
    );
    for (const each of [first, folded, same]) each.close();
  });

  test("text without a known piece gives a zero vector, and tokens of another tokenizer are refused", async () => {
    const model = await fitLsi(gpu, new Units(tokens), { dimensions: 4 });
    const strange = await corpus.tokens([{ text: "ЖЖЖ", shard: "s", offset: 0 }]);
    const encoder = await LsiEncoder.create(gpu, model);
    const [batch] = new Units(strange).batches(1);
    const { vectors, captured } = await encoder.encode(batch);
    assert.deepEqual([...vectors, ...captured], [0, 0, 0, 0, 0]);
    const other = await Tokenizer.train(["another text, another tokenizer"], { vocabularySize: 300 });
    const foreign = await corpus.tokens([{ text: "balo", shard: "s", offset: 0 }], other);
    assert.throws(() => encoder.check(new Units(foreign)), /its tokens are of tokenizer/);
    encoder.dispose();
    for (const each of [strange, foreign]) each.close();
  });

  test("more dimensions than units are as many as there are", async () => {
    const few = await corpus.tokens(topicDocuments({ documents: 5, topics: [0, 1] }));
    const model = await fitLsi(gpu, new Units(few), { dimensions: 256 });
    assert.equal(model.dimensions, 5);
    few.close();
  });
});

test("a shard that was cut off or altered is named", async () => {
  const folder = corpus.path("damaged");
  (
    await buildEmbeddings(gpu, { folder, units: new Units(tokens), method: { fit: { dimensions: 4 } } })
  ).close();
  const path = `${folder}/vectors-00000.f32`;
  const bytes = await readFile(path);
  bytes[17] ^= 1;
  await writeFile(path, bytes);
  await assert.rejects(Embeddings.open(folder), /vectors-00000\.f32: truncated or altered/);
  await truncate(path, 50);
  await assert.rejects(
    Embeddings.open(folder, { verify: "sizes" }),
    /vectors-00000\.f32: 2400 bytes are expected \(got 50\)/,
  );
  await assert.rejects(
    Embeddings.open(corpus.path("nowhere")),
    /nowhere: there is no such folder\. Give a folder that `slm embed` made/,
  );
});

describe("given vectors", () => {
  const rows = 150;
  const vectors = new Random(8).normals(rows * 5);

  /** A .npy file as NumPy writes it, from the format's description. */
  async function npy(
    name: string,
    version: 1 | 2 | 3,
    descr: string,
    body: Buffer,
    order = "False",
  ): Promise<string> {
    const text = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${rows}, 5), }\n`;
    const length = Buffer.alloc(version === 1 ? 2 : 4);
    if (version === 1) length.writeUInt16LE(text.length);
    else length.writeUInt32LE(text.length);
    const path = corpus.path(name);
    const magic = Buffer.from([0x93, ...Buffer.from("NUMPY"), version, 0]);
    await writeFile(path, Buffer.concat([magic, length, Buffer.from(text), body]));
    return path;
  }

  const bodies = {
    "<f4": Buffer.from(vectors.buffer.slice(0)),
    "<f8": Buffer.from(Float64Array.from(vectors).buffer),
    "<f2": Buffer.from(toHalf(vectors).buffer),
  };

  for (const version of [1, 2, 3] as const) {
    for (const type of ["<f4", "<f8", "<f2"] as const) {
      test(`.npy version ${version}, ${type}`, async () => {
        const path = await npy(`v${version}${type.slice(1)}.npy`, version, type, bodies[type]);
        const encoder = await givenVectors(new Units(tokens), { path });
        const folder = corpus.path(`given-${version}${type.slice(1)}`);
        const embeddings = await buildEmbeddings(gpu, {
          folder,
          units: new Units(tokens),
          method: { encoder },
        });
        encoder.dispose();
        const found = embeddings.read(0, rows);
        for (let r = 0; r < rows; r++) {
          const row = vectors.subarray(r * 5, r * 5 + 5);
          for (let c = 0; c < 5; c++) {
            const expected = row[c] / Math.hypot(...row);
            assert.ok(Math.abs(found[r * 5 + c] - expected) < (type === "<f2" ? 2e-3 : 1e-6));
          }
        }
        embeddings.close();
      });
    }
  }

  for (const double of [false, true]) {
    test(`a Parquet column of lists of ${double ? "doubles" : "floats"}`, async () => {
      const path = corpus.path(`lists-${double}.parquet`);
      const lists = Array.from({ length: rows }, (_, r) => [...vectors.subarray(r * 5, r * 5 + 5)]);
      writeParquetLists(path, "embedding", lists, { double });
      const encoder = await givenVectors(new Units(tokens), { path });
      const folder = corpus.path(`parquet-${double}`);
      const embeddings = await buildEmbeddings(gpu, {
        folder,
        units: new Units(tokens),
        method: { encoder },
      });
      const found = embeddings.read(0, rows);
      for (const [r, row] of lists.entries()) {
        for (let c = 0; c < 5; c++)
          assert.ok(Math.abs(found[r * 5 + c] - row[c] / Math.hypot(...row)) < 1e-6);
      }
      embeddings.close();
      await assert.rejects(
        givenVectors(new Units(tokens), { path, column: "text" }),
        /no such column of lists \(got "text"\).*embedding/,
      );
      lists[120] = [1, 2];
      writeParquetLists(path, "embedding", lists, { double });
      const uneven = await givenVectors(new Units(tokens), { path });
      await assert.rejects(
        buildEmbeddings(gpu, {
          folder: `${folder}-uneven`,
          units: new Units(tokens),
          method: { encoder: uneven },
        }),
        /row 120 of column embedding does not have 5 values \(got 2\)/,
      );
    });
  }

  test("files that do not fit are refused with what is wrong", async () => {
    const refused = async (path: string, message: RegExp) =>
      assert.rejects(givenVectors(new Units(tokens), { path }), (error: Error) => {
        assert.ok(error instanceof ClustersError, String(error));
        assert.match(error.message, message);
        return true;
      });
    await refused(corpus.path("missing.npy"), /missing\.npy: cannot be read/);
    await refused(await npy("order.npy", 1, "<f4", bodies["<f4"], "True"), /column by column/);
    await refused(await npy("type.npy", 1, ">f4", bodies["<f4"]), /type is not one of .*got ">f4"/);
    await refused(await npy("short.npy", 1, "<f8", bodies["<f4"]), /truncated/);
    await writeFile(corpus.path("text.npy"), "no vectors at all");
    await refused(corpus.path("text.npy"), /not a \.npy file/);
    await writeNpy(corpus.path("rows.npy"), new Float32Array(20), [4, 5]);
    await refused(corpus.path("rows.npy"), /150 rows are needed.*got 4/);
    await writeNpy(corpus.path("flat.npy"), new Float32Array(150), [150]);
    await refused(corpus.path("flat.npy"), /rows × dimensions/);
    await writeFile(corpus.path("no.parquet"), "PAR0");
    await refused(corpus.path("no.parquet"), /cannot be read as Parquet/);
  });

  test("a vector for each document does not fit windows, and that is said", async () => {
    await writeNpy(corpus.path("documents.npy"), new Float32Array(150 * 3), [150, 3]);
    await assert.rejects(
      givenVectors(new Units(tokens, 50), { path: corpus.path("documents.npy") }),
      /documents longer than 50 tokens are cut into \d+ units.*Raise --window/,
    );
  });

  test("a NaN is reported by its row", async () => {
    const bad = Float32Array.from(vectors);
    bad[77 * 5 + 2] = Number.NaN;
    await writeNpy(corpus.path("nan.npy"), bad, [rows, 5]);
    const units = new Units(tokens);
    const encoder = await givenVectors(units, { path: corpus.path("nan.npy") });
    await assert.rejects(
      buildEmbeddings(gpu, { folder: corpus.path("nan"), units, method: { encoder } }),
      /row 77 holds a NaN/,
    );
    encoder.dispose();
  });

  test("what is written as .npy is read back", async () => {
    await writeNpy(corpus.path("back.npy"), vectors, [rows, 5]);
    assert.deepEqual(readNpy(corpus.path("back.npy")), vectors);
    const file = NpyFile.open(corpus.path("back.npy"));
    assert.deepEqual(file.read(3, 2), vectors.slice(15, 25));
    assert.throws(() => file.readIntegers(), /whole numbers/);
    file.close();
  });
});
