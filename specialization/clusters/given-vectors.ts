/** Vectors given by the user instead of computed here: what turns units into the rows of a file of vectors. */
import type { Encoder } from "./encoder.js";
import { ClustersError } from "./errors.js";
import type { Unit, Units } from "./units.js";
import { VectorFile, type VectorFileOptions, vectorIdentity } from "./vector-file.js";

/**
 * One row for each unit, or one for each document where every document is one unit.
 *
 * @throws ClustersError for a file that cannot be read, or whose rows are not those of the units
 */
export async function givenVectors(units: Units, options: VectorFileOptions): Promise<Encoder> {
  const file = await VectorFile.open(options);
  try {
    checkRows(units, file);
    return encoderOf(file, await vectorIdentity(options), (_, number) => number);
  } catch (error) {
    file.close();
    throw error;
  }
}

/**
 * One row for each document: that of its number, which all of its units share.
 *
 * @param identity the file's own, which a caller of several sets keeps
 */
export async function documentVectors(
  options: VectorFileOptions,
  identity: string,
  rows: ArrayLike<number>,
): Promise<Encoder> {
  return encoderOf(await VectorFile.open(options), identity, ({ document }) => rows[document]);
}

function checkRows({ count, window, tokens }: Units, { rows, options }: VectorFile): void {
  if (rows === count) return;
  const { documentCount } = tokens;
  throw new ClustersError({
    at: options.path,
    value: rows,
    problem:
      rows === documentCount
        ? `one vector for each of ${documentCount} documents, but documents longer than ${window} tokens are cut into ${count} units`
        : `${count} rows are needed, one for each unit of ${tokens.folder} (${documentCount} documents)`,
    remedy:
      rows === documentCount
        ? "Raise --window above the longest document, or give a vector for each window."
        : "Give one vector for each unit, in the order of the documents.",
  });
}

/** @param rowOf the row of a unit, by what it is and by its number */
function encoderOf(
  file: VectorFile,
  identity: string,
  rowOf: (unit: Unit, number: number) => number,
): Encoder {
  return {
    kind: "given",
    dimensions: file.dimensions,
    identity,
    flops: 0,
    async encode({ first, units }) {
      const vectors = await file.gather(units.map((unit, i) => rowOf(unit, first + i)));
      return { vectors, captured: new Float32Array(units.length).fill(1) };
    },
    dispose: () => file.close(),
  };
}
