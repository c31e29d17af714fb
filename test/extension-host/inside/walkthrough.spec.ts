/** The walkthrough and the welcome texts: every button leads somewhere, every picture is there. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";

interface Manifest {
  readonly contributes: {
    readonly walkthroughs: readonly {
      readonly steps: readonly {
        readonly id: string;
        readonly description: string;
        readonly media: Readonly<Record<string, string>>;
        readonly completionEvents: readonly string[];
      }[];
    }[];
    readonly viewsWelcome: readonly { readonly view: string; readonly contents: string }[];
    readonly views: Readonly<Record<string, readonly { readonly id: string }[]>>;
  };
}

describe("the walkthrough and the welcome views", () => {
  const extension = vscode.extensions.getExtension("slm-forge.slm-forge")!;
  const { contributes } = extension.packageJSON as Manifest;
  const steps = contributes.walkthroughs.flatMap(({ steps }) => steps);
  const linked = (text: string) => [...text.matchAll(/\]\(command:([\w.]+)/g)].map(([, command]) => command);

  it("lead to commands that exist", async () => {
    await extension.activate();
    const known = new Set(await vscode.commands.getCommands(true));
    const asked = [
      ...steps.flatMap(({ description }) => linked(description)),
      ...contributes.viewsWelcome.flatMap(({ contents }) => linked(contents)),
      ...steps
        .flatMap(({ completionEvents }) => completionEvents)
        .filter((event) => event.startsWith("onCommand:"))
        .map((event) => event.slice("onCommand:".length)),
    ];
    assert.ok(asked.length > 10);
    assert.deepEqual(
      asked.filter((command) => !known.has(command)),
      [],
    );
  });

  it("have their pictures and pages in the package", () => {
    for (const { id, media, completionEvents } of steps) {
      const file = media.image ?? media.markdown;
      assert.ok(existsSync(join(extension.extensionPath, file)), `${id}: ${file}`);
      assert.ok(completionEvents.length > 0, id);
      if (media.image !== undefined) assert.ok(media.altText, `${id} has no text for its picture`);
    }
  });

  it("leave no view without a word when it is empty", () => {
    const welcomed = new Set(contributes.viewsWelcome.map(({ view }) => view));
    for (const { id } of Object.values(contributes.views).flat()) assert.ok(welcomed.has(id), id);
  });

  it("open from the command", async () => {
    await vscode.commands.executeCommand("slmForge.openWalkthrough");
  });
});
