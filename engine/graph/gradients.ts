/** Reverse-mode differentiation: extends a graph with the gradients of a scalar. */
import { add } from "./operations/elementwise.js";
import { describe, GraphError } from "./shape.js";
import type { Node, Tensor } from "./tensor.js";

/**
 * Appends the backward pass of `loss` (one value) and returns one gradient per tensor of `withRespectTo`,
 * undefined where the loss does not depend on it.
 * @param seed gradient of the loss itself (one f32 value): a loss scale, for example.
 */
export function gradients(
  loss: Tensor,
  withRespectTo: readonly Tensor[],
  seed: Tensor,
): (Tensor | undefined)[] {
  if (loss.elements !== 1)
    throw new GraphError(`Gradients are taken of one value; the loss is ${describe(loss)}.`);
  const graph = loss.graph;
  const depends = dependents(loss, withRespectTo);
  const collected = new Map<Tensor, Tensor>();
  collected.set(loss, seed);
  const again = new Map<Node, Node>();
  const nodes = graph.nodes.slice(0, loss.node.id + 1);

  for (const node of nodes.reverse()) {
    const outputGradients = node.outputs.map((t) => collected.get(t));
    if (node.inputs.length === 0 || !depends.has(node) || outputGradients.every((g) => g === undefined))
      continue;
    const needed = node.inputs.map((t) => depends.has(t.node) || withRespectTo.includes(t));
    const { operation } = node;
    if (!operation.gradient) {
      throw new GraphError(`${node.label} at ${node.location} has no gradient, but the loss depends on it.`);
    }
    const inputGradients = graph.scope(`gradient of ${node.label}`, () =>
      operation.gradient!({
        node,
        inputs: node.segment ? node.inputs.map((t) => recomputed(t, node, again)) : node.inputs,
        outputs: node.segment ? node.outputs.map((t) => recomputed(t, node, again)) : node.outputs,
        gradients: outputGradients,
        needed,
      }),
    );
    for (const [i, gradient] of inputGradients.entries()) {
      if (!gradient || !needed[i]) continue;
      const input = node.inputs[i];
      const before = collected.get(input);
      collected.set(input, before ? add(before, gradient) : gradient);
    }
  }
  return withRespectTo.map((t) => collected.get(t));
}

/** Nodes on a path from one of `sources` to `loss`. */
function dependents(loss: Tensor, sources: readonly Tensor[]): Set<Node> {
  const found = new Set<Node>();
  const wanted = new Set(sources);
  for (const node of loss.graph.nodes.slice(0, loss.node.id + 1)) {
    if (node.inputs.some((t) => wanted.has(t) || found.has(t.node))) found.add(node);
  }
  return found;
}

/**
 * The tensor as the backward pass of `reader` may read it: inside the reader's segment the value is computed
 * again, from the tensors that entered the segment; elsewhere it was kept.
 */
function recomputed(tensor: Tensor, reader: Node, again: Map<Node, Node>): Tensor {
  const { node } = tensor;
  if (node.segment === undefined || node.segment !== reader.segment) return tensor;
  let copy = again.get(node);
  if (!copy) {
    copy = node.graph.repeat(
      node,
      node.inputs.map((t) => recomputed(t, reader, again)),
    );
    again.set(node, copy);
  }
  return copy.outputs[tensor.output];
}
