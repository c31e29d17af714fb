/** Safetensors: round trips of every type, a reference file byte by byte, and hostile headers. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { FormatError } from "../../../specialization/export/errors.js";
import {
  SafetensorsFile,
  type TensorEntry,
  writeSafetensors,
} from "../../../specialization/export/safetensors.js";

const folder = mkdtempSync(join(tmpdir(), "slm-safetensors-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const newPath = () => join(folder, `${files++}.safetensors`);

/** A file of a given header and number of zero bytes of data. */
function fileOf(header: string | object, dataBytes = 0, headerLength?: number | bigint): string {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(headerLength ?? json.length));
  const path = newPath();
  writeFileSync(path, Buffer.concat([prefix, json, Buffer.alloc(dataBytes)]));
  return path;
}

const f32 = (shape: unknown, offsets: unknown) => ({ dtype: "F32", shape, data_offsets: offsets });

async function refuses(path: string, message: RegExp): Promise<void> {
  await assert.rejects(SafetensorsFile.open(path), (error: unknown) => {
    assert.ok(error instanceof FormatError, String(error));
    assert.ok(error.message.startsWith(`${path}: `), error.message);
    assert.match(error.message, message);
    assert.ok(error.remedy.length > 10);
    return true;
  });
}

describe("writing and reading", () => {
  test("every type comes back, in order of its own data, aligned", async () => {
    const path = newPath();
    const reals = Float32Array.of(0, -0, 1, -1.5, 3.140625, 65504, 2 ** -24, Number.POSITIVE_INFINITY);
    const entries: TensorEntry[] = [
      { name: "bytes", dtype: "U8", shape: [3], data: Uint8Array.of(1, 2, 255) },
      { name: "f16", dtype: "F16", shape: [8], data: reals },
      { name: "bf16", dtype: "BF16", shape: [2, 4], data: () => reals },
      { name: "f32", dtype: "F32", shape: [4, 2], data: async () => reals },
      { name: "f64", dtype: "F64", shape: [8], data: reals },
      { name: "i64", dtype: "I64", shape: [2], data: BigInt64Array.of(-1n, 2n ** 62n) },
      { name: "scalar", dtype: "F32", shape: [], data: Float32Array.of(7) },
      { name: "empty", dtype: "F32", shape: [0, 5], data: new Float32Array(0) },
      { name: "__proto__", dtype: "F32", shape: [1], data: Float32Array.of(8) },
    ];
    const { bytes, sha256 } = await writeSafetensors(path, entries, { format: "pt", 'ключ "x"': "да" });
    const contents = readFileSync(path);
    assert.equal(bytes, contents.length);
    assert.equal(sha256, createHash("sha256").update(contents).digest("hex"));
    const file = await SafetensorsFile.open(path);
    try {
      assert.deepEqual([...file.names()].sort(), entries.map((e) => e.name).sort());
      assert.equal(file.metadata().get('ключ "x"'), "да");
      for (const { name, dtype, shape } of entries) {
        const info = file.info(name);
        assert.equal(info.dtype, dtype);
        assert.deepEqual(info.shape, shape);
        assert.equal(info.offset % (info.elements === 0 ? 1 : info.bytes / info.elements), 0, name);
      }
      assert.deepEqual(await file.read("f32"), reals);
      assert.deepEqual(await file.read("f64"), reals);
      assert.deepEqual(await file.read("f16"), reals);
      // 65504 is no bfloat16: its neighbours are 65280 and 65536
      assert.deepEqual(
        await file.read("bf16"),
        Float32Array.from(reals, (x) => (x === 65504 ? 65536 : x)),
      );
      assert.deepEqual(await file.read("scalar"), Float32Array.of(7));
      assert.deepEqual(await file.read("empty"), new Float32Array(0));
      assert.deepEqual(await file.read("__proto__"), Float32Array.of(8));
      assert.deepEqual([...(await file.readBytes("bytes"))], [1, 2, 255]);
      await assert.rejects(file.read("i64"), /i64: cannot be read as real numbers \(got "I64"\)/);
      await assert.rejects(file.read("wrong"), /wrong: there is no tensor of this name.*It holds 9: /);
    } finally {
      await file.close();
    }
  });

  test("the bytes are those that the format prescribes", async () => {
    const path = newPath();
    await writeSafetensors(path, [{ name: "a", dtype: "F32", shape: [1, 2], data: Float32Array.of(1, -2) }]);
    const header = '{"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}';
    const expected = Buffer.concat([
      Buffer.from([header.length, 0, 0, 0, 0, 0, 0, 0]),
      Buffer.from(header),
      Buffer.from([0, 0, 128, 63, 0, 0, 0, 192]),
    ]);
    assert.equal(header.length % 8, 0);
    assert.deepEqual(readFileSync(path), expected);
  });

  test("bf16 rounds to nearest even and keeps NaN", async () => {
    const path = newPath();
    const words = Uint32Array.of(0x3f808000, 0x3f818000, 0x3f808001, 0x7f800001, 0xff7fffff);
    await writeSafetensors(path, [
      { name: "a", dtype: "BF16", shape: [5], data: new Float32Array(words.buffer) },
    ]);
    const file = await SafetensorsFile.open(path);
    const halves = new Uint16Array((await file.readBytes("a")).buffer);
    await file.close();
    assert.deepEqual([...halves], [0x3f80, 0x3f82, 0x3f81, 0x7fc0, 0xff80]);
  });

  test("tensors larger than a chunk, and an asynchronous list, one tensor in hand at a time", async () => {
    const path = newPath();
    const size = (1 << 20) + 3;
    let open = 0;
    async function* entries(): AsyncGenerator<TensorEntry> {
      for (const [k, dtype] of (["F32", "F16", "F32"] as const).entries()) {
        yield {
          name: `t${k}`,
          dtype,
          shape: [size],
          data: async () => {
            assert.equal(++open, 1);
            await new Promise((done) => setImmediate(done));
            open--;
            return Float32Array.from({ length: size }, (_, i) => (i * (k + 1)) % 2048);
          },
        };
      }
    }
    await writeSafetensors(path, entries());
    const file = await SafetensorsFile.open(path);
    for (const k of [0, 1, 2]) {
      const values = await file.read(`t${k}`);
      assert.equal(values.length, size);
      assert.ok(values.every((x, i) => x === (i * (k + 1)) % 2048));
    }
    await file.close();
  });

  test("wrong entries are refused and leave nothing behind", async () => {
    const one = { name: "a", dtype: "F32", shape: [1], data: Float32Array.of(1) } as const;
    const cases: [TensorEntry[], RegExp][] = [
      [[one, one], /a: two tensors have this name/],
      [[{ ...one, shape: [2] }], /a: the shape \[2\] holds 2 values, another number was given \(got 1\)/],
      [[{ ...one, shape: [-1] }], /a: no shape \(got \[-1\]\)/],
      [[{ ...one, shape: [2 ** 40, 2 ** 40] }], /more elements than can be counted/],
      [[{ ...one, dtype: "I32" }], /a: this array does not hold elements of I32 \(got "Float32Array"\)/],
      [[{ ...one, dtype: "F12" as "F16" }], /a: unknown element type \(got "F12"\)/],
      [[{ ...one, name: "__metadata__" }], /this name is the format's own/],
      [[{ ...one, data: () => Promise.reject(new Error("lost device")) }], /lost device/],
    ];
    for (const [entries, message] of cases) {
      const path = newPath();
      await assert.rejects(writeSafetensors(path, entries), message);
      assert.ok(!existsSync(path), String(message));
    }
    await assert.rejects(writeSafetensors(join(folder, "none", "x"), [one]), /cannot be written: ENOENT/);
  });
});

describe("hostile files", () => {
  test("headers of the wrong length", async () => {
    await refuses(
      fileOf("{}", 0, 2n ** 63n),
      /header's length exceeds 100000000 bytes \(got 9223372036854775808\)/,
    );
    await refuses(fileOf("{}", 0, 2n ** 64n - 1n), /header's length exceeds/);
    await refuses(fileOf("{}", 0, 3), /header's length exceeds the file's 10 bytes \(got 3\)/);
    await refuses(fileOf("{}", 0, 1), /not JSON/);
    const short = newPath();
    writeFileSync(short, Buffer.alloc(7));
    await refuses(short, /too short for a header/);
    writeFileSync(short, "");
    await refuses(short, /too short for a header/);
  });

  test("headers that are no header", async () => {
    await refuses(fileOf("[]"), /does not begin with "\{"/);
    await refuses(fileOf(" {}"), /does not begin with/);
    await refuses(fileOf('{"a":'), /not JSON/);
    await refuses(fileOf('{"a'), /not JSON/);
    await refuses(fileOf('{"a\\'), /not JSON/);
    await refuses(fileOf('{"a":NaN}'), /not JSON/);
    await refuses(fileOf(`{"a":${"[".repeat(1_000_000)}`), /nested deeper than 3/);
    await refuses(fileOf(`{"${"\\\\".repeat(4_000_000)}`), /not JSON/);
    const binary = newPath();
    writeFileSync(binary, Buffer.from([2, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff]));
    await refuses(binary, /not UTF-8/);
    await refuses(fileOf({ a: 1 }), /a: a tensor with dtype, shape and data_offsets is expected \(got 1\)/);
    await refuses(fileOf({ a: null }), /a: a tensor/);
    await refuses(fileOf({ __metadata__: [] }), /__metadata__: an object/);
    await refuses(fileOf({ __metadata__: { a: 1 } }), /__metadata__\.a: a text is expected \(got 1\)/);
  });

  test("tensors that cannot be", async () => {
    const lone = (tensor: object, bytes = 8) => fileOf({ a: tensor }, bytes);
    await refuses(lone({ ...f32([2], [0, 8]), dtype: "F7" }), /a\.dtype: unknown element type.*\(got "F7"\)/);
    await refuses(lone({ ...f32([2], [0, 8]), dtype: "toString" }), /a\.dtype/);
    await refuses(lone({ ...f32([2], [0, 8]), dtype: 1 }), /a\.dtype/);
    await refuses(lone({ ...f32([2], [0, 8]), strides: [1] }), /a\.strides: no key of a tensor/);
    await refuses(lone({ dtype: "F32", shape: [2] }), /a\.data_offsets: two whole numbers/);
    for (const shape of [[-2], [1.5], ["2"], [null], 2, undefined, [2 ** 53]]) {
      await refuses(lone(f32(shape, [0, 8])), /a\.shape: a list of whole numbers/);
    }
    await refuses(lone(f32([2 ** 30, 2 ** 30], [0, 8])), /a\.shape: more elements than can be counted/);
    await refuses(
      fileOf('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,1e999]}}', 8),
      /two whole numbers/,
    );
    for (const offsets of [[-8, 0], [0], [0, 8, 8], [0.5, 8.5], ["0", "8"], [0, 2 ** 60], null]) {
      await refuses(lone(f32([2], offsets)), /a\.data_offsets: two whole numbers/);
    }
    await refuses(lone(f32([2], [8, 0])), /the end lies before the beginning/);
    await refuses(lone(f32([3], [0, 12])), /beyond the file, which holds 8 bytes of data: it is truncated/);
    await refuses(lone(f32([1], [0, 8])), /8 bytes, but the shape \[1\] of F32 takes 4/);
  });

  test("ranges with overlaps, holes and a rest; names given twice", async () => {
    await refuses(
      fileOf({ a: f32([2], [0, 8]), b: f32([2], [4, 12]) }, 12),
      /b: its data overlap.*end at byte 8 \(got 4\)/,
    );
    await refuses(fileOf({ a: f32([2], [0, 8]), b: f32([2], [0, 8]) }, 8), /its data overlap/);
    await refuses(fileOf({ a: f32([1], [4, 8]) }, 8), /a: bytes 0 to 4 of the data belong to no tensor/);
    await refuses(fileOf({ a: f32([1], [0, 4]), b: f32([1], [8, 12]) }, 12), /b: bytes 4 to 8/);
    await refuses(
      fileOf({ a: f32([1], [0, 4]) }, 5),
      /more data than its tensors take \(4 bytes\) \(got 5\)/,
    );
    await refuses(fileOf({}, 1), /more data than its tensors take/);
    const tensor = JSON.stringify(f32([1], [0, 4]));
    await refuses(fileOf(`{"a":${tensor},"a":${tensor}}`, 4), /a: this name occurs twice/);
    await refuses(fileOf(`{"a":${tensor},"\\u0061" :${tensor}}`, 4), /a: this name occurs twice/);
    await refuses(
      fileOf('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
      /dtype: this name occurs twice/,
    );
  });

  test("places that hold no file", async () => {
    await refuses(folder, /not a file/);
    await refuses(join(folder, "absent"), /cannot be read: ENOENT/);
  });

  test("a file cut short after it was opened", async () => {
    const path = newPath();
    await writeSafetensors(path, [{ name: "a", dtype: "F32", shape: [100], data: new Float32Array(100) }]);
    const file = await SafetensorsFile.open(path);
    writeFileSync(path, readFileSync(path).subarray(0, 200));
    await assert.rejects(file.read("a"), /a: the file ends after this many of 400 bytes/);
    await file.close();
  });
});
