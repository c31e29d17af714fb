/** The installed extension as other extensions see it: activation, contributions, its `slm`. */
import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import type { SlmForge } from "../../../extension/src/extension.js";
import { until } from "./until.js";

const extension = vscode.extensions.getExtension<SlmForge>("slm-forge.slm-forge");

describe("the installed extension", () => {
  it("activates in a trusted folder", async () => {
    assert.ok(extension, "the VSIX is not installed");
    await extension.activate();
    assert.ok(extension.isActive);
  });

  it("has registered every command of its manifest", async () => {
    const registered = new Set(await vscode.commands.getCommands(true));
    const commands: { command: string }[] = extension!.packageJSON.contributes.commands;
    assert.ok(commands.length > 0);
    assert.deepEqual(
      commands.map(({ command }) => command).filter((command) => !registered.has(command)),
      [],
    );
  });

  it("runs the workspace's slm with a real Node", async () => {
    const { cli } = extension!.exports;
    const { program, parameters, env } = await cli.command();
    assert.match(program, /node$/);
    assert.match(parameters[0], /node_modules[/\\]slm-forge/);
    assert.deepEqual(
      Object.keys(env ?? {}).filter((name) => name.startsWith("VSCODE_")),
      [],
    );
    assert.equal((await cli.run(["--version"])).code, 0);
  });

  it("does not let a workspace say which programs are run", async () => {
    const settings = vscode.workspace.getConfiguration("slmForge");
    for (const name of ["nodePath", "cliPath"])
      await assert.rejects(
        Promise.resolve(settings.update(name, "/bin/false", vscode.ConfigurationTarget.Workspace)),
        new RegExp(name),
      );
  });

  it("offers a task for every configuration, which trains in a terminal", async () => {
    const tasks = await vscode.tasks.fetchTasks({ type: "slm" });
    const task = tasks.find(({ name }) => name === "train by-task.yaml");
    assert.ok(task, `no such task among ${tasks.map(({ name }) => name).join(", ")}`);
    const ended = new Promise<number | undefined>((done) => {
      const listening = vscode.tasks.onDidEndTaskProcess(({ execution, exitCode }) => {
        if (execution.task.name !== task.name) return;
        listening.dispose();
        done(exitCode);
      });
    });
    await vscode.tasks.executeTask(task);
    assert.equal(await ended, 0);
    const { store } = extension!.exports.data;
    await store.refresh();
    const run = store.runs.find(({ name }) => name === "by-task");
    assert.deepEqual([run?.state, run?.step], ["finished", 3]);
  });

  it("resumes all the runs that are selected, and no other", async () => {
    const { store } = extension!.exports.data;
    const runs = join(vscode.workspace.workspaceFolders![0].uri.fsPath, "runs");
    const names = ["first", "second", "third"];
    for (const name of names) {
      cpSync(join(runs, "by-task"), join(runs, name), { recursive: true });
      for (const [file, old, text] of [
        ["run.yaml", "steps: 3", "steps: 6"],
        ["run.json", '"finished"', '"stopped"'],
      ]) {
        const path = join(runs, name, file);
        const before = readFileSync(path, "utf8");
        assert.ok(before.includes(old), before);
        writeFileSync(path, before.replace(old, text));
      }
    }
    await store.refresh();
    const node = (name: string) => ({ run: store.runs.find((run) => run.name === name) });
    const [first, , third] = names.map(node);
    await vscode.commands.executeCommand("slmForge.resumeRun", third, [first, third]);
    const states = () =>
      names.map((name) => {
        const { state, step } = node(name).run!;
        return `${state} at ${step}`;
      });
    await until("the end of both", async () => {
      await store.refresh();
      return states().filter((state) => state === "finished at 6").length === 2 ? true : undefined;
    });
    assert.deepEqual(states(), ["finished at 6", "stopped at 3", "finished at 6"]);
  });
});
