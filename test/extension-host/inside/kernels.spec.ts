/** WGSL in the editor: errors as one types, lenses, check and benchmark of a kernel, files of anybody. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import * as vscode from "vscode";
import type { SlmForge } from "../../../extension/src/extension.js";
import { until } from "./until.js";

const folder = () => vscode.workspace.workspaceFolders![0].uri.fsPath;
const OWN = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(64)
fn double(@builtin(global_invocation_id) i: vec3u) {
  x[i.x] *= 2.0;
}
`;

/** Two entry points, each of which states its problem. */
const STATED = `@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

// @bench workgroups: 16; buffer x: 1024; buffer y: 1024; bytes: 8 * 1024
@compute @workgroup_size(64)
fn double(@builtin(global_invocation_id) i: vec3u) {
  y[i.x] = x[i.x] + x[i.x];
}

// @bench workgroups: 16; buffer x: 1024; buffer y: 1024; flops: 1024
@compute @workgroup_size(64)
fn halve(@builtin(global_invocation_id) i: vec3u) {
  y[i.x] = 0.5 * x[i.x];
}
`;

async function open(path: string): Promise<vscode.TextDocument> {
  const document = await vscode.workspace.openTextDocument(path);
  await vscode.window.showTextDocument(document);
  return document;
}

/** A copy of a kernel to change. */
async function openCopy(name: string): Promise<vscode.TextDocument> {
  const path = join(folder(), "kernels", name);
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(join(folder(), "node_modules", "slm-forge", "shaders", name), path);
  return open(path);
}

async function replace(document: vscode.TextDocument, old: string, text: string): Promise<void> {
  /* the last one: the first is in the description of the file */
  const at = document.getText().lastIndexOf(old);
  assert.ok(at >= 0, `${old} is not in ${document.fileName}`);
  const edit = new vscode.WorkspaceEdit();
  const range = new vscode.Range(document.positionAt(at), document.positionAt(at + old.length));
  edit.replace(document.uri, range, text);
  await vscode.workspace.applyEdit(edit);
}

const lenses = async ({ uri }: vscode.TextDocument) =>
  (await vscode.commands.executeCommand<vscode.CodeLens[]>("vscode.executeCodeLensProvider", uri)).map(
    ({ command }) => command?.title.replace(/^\$\([\w-]+\) /, ""),
  );

const errors = ({ uri }: vscode.TextDocument) =>
  vscode.languages.getDiagnostics(uri).filter(({ severity }) => severity === vscode.DiagnosticSeverity.Error);

describe("a WGSL file in the editor", () => {
  let kernels: SlmForge["kernels"];
  before(async () => {
    const extension = vscode.extensions.getExtension<SlmForge>("slm-forge.slm-forge");
    kernels = (await extension!.activate()).kernels;
  });
  afterEach(async () => {
    await vscode.commands.executeCommand("workbench.action.files.revert");
    await vscode.commands.executeCommand("workbench.action.closeAllEditors");
  });

  it("of anybody is compiled as one types, offers the check alone, and is told what it must say to be timed", async () => {
    const path = join(folder(), "own.wgsl");
    writeFileSync(path, OWN);
    const document = await open(path);
    assert.equal(document.languageId, "wgsl");
    assert.deepEqual(await lenses(document), ["Check"]);
    await replace(document, "2.0", "factor");
    const [error] = await until("the error", () =>
      errors(document).length > 0 ? errors(document) : undefined,
    );
    assert.ok(document.isDirty);
    assert.match(error.message, /unresolved value 'factor'/);
    assert.equal(document.getText(error.range), "factor");
    await replace(document, "factor", "3.0");
    await until("the correction", () => (errors(document).length === 0 ? true : undefined));
    /* what it would have to say to be timed is told where it belongs */
    await vscode.commands.executeCommand("slmForge.kernels.benchmark", document.uri);
    const [missing] = errors(document);
    assert.match(
      missing.message,
      /"double" does not say what it is run on\. .*: \/\/ @bench workgroups: 1024; /,
    );
    assert.match(document.lineAt(missing.range.start.line).text, /^fn double/);
    assert.equal(kernels.resultsOf(document.uri), undefined);
  });

  it("of anybody that states its problem is checked, timed and compared, by entry point", async () => {
    const path = join(folder(), "stated.wgsl");
    writeFileSync(path, STATED);
    const document = await open(path);
    assert.deepEqual(await lenses(document), ["Check", "Benchmark", "Compare with last"]);
    await vscode.commands.executeCommand("slmForge.kernels.benchmark", document.uri);
    const timed = kernels.resultsOf(document.uri) ?? [];
    assert.deepEqual(
      timed.map(({ entryPoint, passed, bound }) => [entryPoint, passed, bound]),
      [
        ["double", true, "memory"],
        ["halve", true, "arithmetic"],
      ],
    );
    assert.ok(
      timed.every(({ milliseconds, ceiling }) => milliseconds !== undefined && ceiling !== undefined),
    );
    await replace(document, "0.5 * x[i.x]", "log(-1.0 - abs(x[i.x]))");
    await vscode.commands.executeCommand("slmForge.kernels.compare", document.uri);
    const [double, halve] = kernels.resultsOf(document.uri) ?? [];
    assert.deepEqual([double?.passed, halve?.passed], [true, false]);
    assert.ok((halve?.previousMilliseconds ?? 0) > 0);
    const [wrong, ...others] = errors(document);
    assert.deepEqual(others, []);
    assert.match(wrong.message, /^1024 of the 1024 values of y are NaN; /);
    assert.match(document.lineAt(wrong.range.start.line).text, /^fn halve/);
  });

  it("that is changed while it is timed keeps its new errors, and takes no result of its old text", async () => {
    const path = join(folder(), "changing.wgsl");
    writeFileSync(path, STATED);
    const document = await open(path);
    await replace(document, "0.5", "0.25");
    const timed = vscode.commands.executeCommand("slmForge.kernels.benchmark", document.uri);
    /* what is timed is what is saved first */
    await until("the saved text", () => (document.isDirty ? undefined : true));
    await replace(document, "0.25", "factor");
    await timed;
    assert.equal(kernels.resultsOf(document.uri), undefined);
    const [error] = await until("the error", () =>
      errors(document).length > 0 ? errors(document) : undefined,
    );
    assert.match(error.message, /unresolved value 'factor'/);
  });

  it("that is a kernel is checked, with its worst error after the entry point", async () => {
    const document = await openCopy("softmax.wgsl");
    assert.deepEqual(await lenses(document), ["Check", "Benchmark", "Compare with last"]);
    await vscode.commands.executeCommand("slmForge.kernels.check", document.uri);
    const results = kernels.resultsOf(document.uri);
    assert.ok(results !== undefined && results.length > 0);
    assert.ok(results.every(({ kernel, passed }) => kernel === "softmax" && passed));
    assert.equal(results[0].milliseconds, undefined);
  });

  it("whose answers are wrong says by how much, at its entry point", async () => {
    const document = await openCopy("softmax.wgsl");
    await replace(document, "exp(", "sqrt(");
    await vscode.commands.executeCommand("slmForge.kernels.check", document.uri);
    const found = errors(document);
    assert.ok(
      found.some(({ message }) => /softmax \/ rows \/ f32 is off from its reference by/.test(message)),
    );
    assert.match(document.lineAt(found[0].range.start.line).text, /\bfn\b/);
    /* a change takes the results away: they are of another text */
    await replace(document, "sqrt(", "exp(");
    assert.equal(kernels.resultsOf(document.uri), undefined);
    await document.save();
  });

  it("is timed, and compared with what was timed last", async () => {
    const document = await openCopy("softmax.wgsl");
    await vscode.commands.executeCommand("slmForge.kernels.benchmark", document.uri);
    const [timed] = kernels.resultsOf(document.uri) ?? [];
    assert.ok(timed?.milliseconds !== undefined && timed.milliseconds > 0);
    assert.ok(timed.ceiling !== undefined && timed.ceiling > 0);
    await replace(document, "exp(", "exp( ");
    await vscode.commands.executeCommand("slmForge.kernels.compare", document.uri);
    const [compared] = kernels.resultsOf(document.uri) ?? [];
    assert.ok((compared?.previousMilliseconds ?? 0) > 0);
  });
});
