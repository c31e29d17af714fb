/** Configurations in the editor: completion, hover, problems as one types, quick fixes, lenses. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import { until } from "./until.js";

const folder = () => vscode.workspace.workspaceFolders![0].uri.fsPath;

const GOOD = `# the job
corpus:
  train: corpus.jsonl
domains:
  news: { train: news.jsonl } # small
methods: [slm]
pretraining:
  batch: 2
  budget: { steps: 2 }
`;

/** Opens a file with a text, "|" being where the result's position is. */
async function open(name: string, text: string) {
  const path = join(folder(), name);
  const offset = text.indexOf("|");
  writeFileSync(path, text.replace("|", ""));
  const document = await vscode.workspace.openTextDocument(path);
  await vscode.window.showTextDocument(document);
  return { document, uri: document.uri, position: document.positionAt(Math.max(0, offset)) };
}

const labels = async ({ uri, position }: { uri: vscode.Uri; position: vscode.Position }) => {
  const list = await vscode.commands.executeCommand<vscode.CompletionList>(
    "vscode.executeCompletionItemProvider",
    uri,
    position,
  );
  return list.items.map(({ label }) => (typeof label === "string" ? label : label.label));
};

/** Problems of ours, once there are some that satisfy. */
const problems = (uri: vscode.Uri, satisfies: (all: readonly vscode.Diagnostic[]) => boolean) =>
  until("problems", () => {
    const all = vscode.languages.getDiagnostics(uri).filter(({ source }) => source === "slm-forge");
    return satisfies(all) ? all : undefined;
  });

describe("a configuration in the editor", () => {
  afterEach(async () => {
    /* a test that failed may have left changes, and closing would ask what to do with them */
    await vscode.commands.executeCommand("workbench.action.files.revert");
    await vscode.commands.executeCommand("workbench.action.closeAllEditors");
  });

  it("completes keys, values and files", async () => {
    assert.ok((await labels(await open("forge.yaml", `${GOOD}model:\n  |\n`))).includes("layers"));
    const values = await labels(await open("b.forge.yaml", `${GOOD}device: { precision: | }\n`));
    assert.ok(values.includes("f16") || values.includes("auto"), values.join(", "));
    const files = await labels(await open("c.forge.yaml", "corpus:\n  train: |\n"));
    assert.ok(files.includes("corpus.jsonl") && files.includes("node_modules/"), files.join(", "));
  });

  it("leaves other YAML alone", async () => {
    const other = await open("compose.yaml", "services:\n  web:\n    |\n");
    assert.ok(!(await labels(other)).includes("corpus"));
    const lenses = await vscode.commands.executeCommand<vscode.CodeLens[]>(
      "vscode.executeCodeLensProvider",
      other.uri,
    );
    assert.deepEqual(lenses, []);
  });

  it("explains the key under the pointer", async () => {
    const { uri, position } = await open("forge.yaml", GOOD.replace("  batch", "  ba|tch"));
    const hovers = await vscode.commands.executeCommand<vscode.Hover[]>(
      "vscode.executeHoverProvider",
      uri,
      position,
    );
    const text = hovers.flatMap(({ contents }) =>
      contents.map((each) => (each as vscode.MarkdownString).value),
    );
    assert.match(text.join("\n"), /pretraining\.batch[\s\S]*a whole number, at least 1/);
  });

  it("marks a misspelt key as it is typed, and corrects it", async () => {
    const { document, uri } = await open("typed.forge.yaml", GOOD);
    const edit = new vscode.WorkspaceEdit();
    edit.replace(uri, new vscode.Range(7, 2, 7, 7), "bacth");
    await vscode.workspace.applyEdit(edit);
    const [problem] = await problems(uri, (all) => all.some(({ message }) => message.includes("bacth")));
    assert.ok(document.isDirty, "the text was checked before it was saved");
    assert.equal(document.getText(problem.range), "bacth");
    assert.equal(problem.severity, vscode.DiagnosticSeverity.Error);
    const actions = await vscode.commands.executeCommand<vscode.CodeAction[]>(
      "vscode.executeCodeActionProvider",
      uri,
      problem.range,
    );
    const fix = actions.find(({ title }) => title === 'Change "bacth" to "batch"');
    assert.ok(fix?.edit, actions.map(({ title }) => title).join(", "));
    await vscode.workspace.applyEdit(fix.edit);
    assert.equal(document.getText(), GOOD);
    await problems(uri, (all) => all.every(({ severity }) => severity !== vscode.DiagnosticSeverity.Error));
    await document.save();
  });

  it("marks files that are missing, and networks that do not fit", async () => {
    const { document, uri } = await open("missing.forge.yaml", GOOD.replace("news.jsonl", "gone.jsonl"));
    const [missing] = await problems(uri, (all) => all.length > 0);
    assert.match(missing.message, /^domains\.news\.train: .*gone\.jsonl: does not exist/);
    assert.equal(document.getText(missing.range), "gone.jsonl");

    const settings = vscode.workspace.getConfiguration("slmForge");
    await settings.update("gpuMemory", "1GB", vscode.ConfigurationTarget.Workspace);
    try {
      const large = await open("large.forge.yaml", `${GOOD}model: { preset: slm-126m }\n`);
      const found = await problems(large.uri, (all) => all.some(({ message }) => message.includes("GB")));
      assert.match(found[0].message, /the GPU has 1\.00 GB/);
    } finally {
      await settings.update("gpuMemory", undefined, vscode.ConfigurationTarget.Workspace);
    }
  });

  it("offers what can be done above the file, and shows a dry run beside it", async () => {
    const { uri } = await open("forge.yaml", GOOD);
    const lenses = await vscode.commands.executeCommand<vscode.CodeLens[]>(
      "vscode.executeCodeLensProvider",
      uri,
    );
    const titles = lenses.map(({ command }) => command?.title.replace(/^\$\(\w+\) /, ""));
    for (const title of ["Run", "Plan", "Dry run"]) assert.ok(titles.includes(title), titles.join(", "));
    await vscode.commands.executeCommand("slmForge.dryRun", uri);
    const text = await until("the printout", () =>
      vscode.workspace.textDocuments.find((each) => each.uri.scheme === "slm-printout")?.getText(),
    );
    assert.match(text, /Cost of each method for 1 domain/);
  });
});
