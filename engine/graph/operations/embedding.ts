/** Embedding lookup; its gradient adds rows in the order of their tokens, so that it is deterministic. */
import { embeddingGradient, embeddingLookup, embeddingScratch } from "../../kernels/embedding.js";
import type { Operation, Tensor } from "../tensor.js";

function shapeOf(table: readonly number[], ids: Tensor) {
  return { tokens: ids.elements, rows: table[0], columns: table[1] };
}

const lookup: Operation<null> = {
  name: "embedding",
  infer([table, ids], _, fail) {
    if (table.shape.length !== 2) fail("the table must be a matrix");
    if (ids.dtype !== "u32") fail("ids must be u32");
    return [{ shape: [...ids.shape, table.shape[1]], dtype: table.dtype }];
  },
  gradient({ inputs: [table, ids], gradients: [dy], needed }) {
    if (!dy || !needed[0]) return [undefined, undefined];
    return [table.graph.apply(scatter, [ids, dy], { shape: table.shape })[0], undefined];
  },
  lower({ node, target, inputs: [table, ids], outputs: [output], emit }) {
    const [t, i] = node.inputs;
    emit(embeddingLookup(target, t.real, shapeOf(t.shape, i), { table, ids, output }));
  },
};

const scatter: Operation<{ shape: readonly number[] }> = {
  name: "embeddingGradient",
  accumulates: true,
  infer: (_, { shape }) => [{ shape, dtype: "f32" }],
  lower({ node, target, inputs: [ids, dy], outputs: [dTable], accumulate, scratch, emit }) {
    const shape = shapeOf(node.attributes.shape, node.inputs[0]);
    const sizes = embeddingScratch(shape);
    const memory = {
      sortedIds: scratch("u32", sizes.sortedIds),
      positions: scratch("u32", sizes.positions),
      scratchKeys: scratch("u32", sizes.scratchKeys),
      scratchValues: scratch("u32", sizes.scratchValues),
      counts: scratch("u32", sizes.counts),
      starts: scratch("u32", sizes.starts),
    };
    emit(
      ...embeddingGradient(
        target,
        node.inputs[1].real,
        { ...shape, accumulate },
        { ids, dy, dTable, ...memory },
      ),
    );
  },
};

/** Rows of a table: [rows, columns] and u32 ids [...] → [..., columns]; ids outside give zeros. */
export function embedding(table: Tensor, ids: Tensor): Tensor {
  return table.graph.apply(lookup, [table, ids], null)[0];
}
