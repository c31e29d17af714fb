/** The view of all kernels: each with its ladder of variants, each variant with its files. */
import { basename } from "node:path";
import * as vscode from "vscode";
import type { ListedKernel } from "../../language/kernels.js";
import type { KernelCatalog } from "./kernel-catalog.js";

type Variant = ListedKernel["variants"][number];
type Node =
  | { readonly kernel: ListedKernel }
  | { readonly kernel: ListedKernel; readonly variant: Variant }
  | { readonly kernel: ListedKernel; readonly variant: Variant; readonly file: string }
  | { readonly failure: string };

export class KernelsView implements vscode.TreeDataProvider<Node> {
  readonly onDidChangeTreeData: vscode.Event<void>;

  constructor(private readonly catalog: KernelCatalog) {
    this.onDidChangeTreeData = catalog.onDidChange;
  }

  async getChildren(node?: Node): Promise<Node[]> {
    if (node === undefined) {
      if (!vscode.workspace.isTrusted) return [];
      try {
        return (await this.catalog.kernels()).map((kernel) => ({ kernel }));
      } catch (error) {
        return [{ failure: (error as Error).message }];
      }
    }
    if ("failure" in node || "file" in node) return [];
    if (!("variant" in node))
      return node.kernel.variants.map((variant) => ({ kernel: node.kernel, variant }));
    const { kernel, variant } = node;
    return variant.files.length > 1 ? variant.files.map((file) => ({ kernel, variant, file })) : [];
  }

  getTreeItem(node: Node): vscode.TreeItem {
    if ("failure" in node) {
      const item = new vscode.TreeItem(node.failure);
      item.iconPath = new vscode.ThemeIcon("warning");
      item.tooltip = node.failure;
      item.command = { command: "slmForge.checkSetup", title: "Check the Set-up" };
      return item;
    }
    const { Collapsed, None } = vscode.TreeItemCollapsibleState;
    if ("file" in node) {
      const item = new vscode.TreeItem(vscode.Uri.file(node.file), None);
      item.label = basename(node.file);
      item.id = `${node.kernel.name}/${node.variant.name}/${node.file}`;
      item.command = openCommand(node.file);
      return item;
    }
    if ("variant" in node) {
      const { name, purpose, types, runs, files, file } = node.variant;
      const item = new vscode.TreeItem(name, files.length > 1 ? Collapsed : None);
      item.id = `${node.kernel.name}/${name}`;
      item.description = `${purpose} · ${types.join(", ")}${runs ? "" : " · compiles only"}`;
      item.iconPath = new vscode.ThemeIcon(runs ? "pass" : "circle-slash");
      item.tooltip = `${basename(file)}: ${runs ? "runs on this adapter" : "this adapter cannot run it"}`;
      item.accessibilityInformation = { label: `${name}, ${item.description}` };
      item.command = openCommand(file);
      return item;
    }
    const { name, formula, problem, variants } = node.kernel;
    const item = new vscode.TreeItem(name, Collapsed);
    item.id = name;
    item.description = formula;
    item.iconPath = new vscode.ThemeIcon("circuit-board");
    item.tooltip = new vscode.MarkdownString(`**${name}**\n\n${formula}\n\nTimed on: ${problem}`);
    item.accessibilityInformation = { label: `${name}, ${variants.length} variants, ${formula}` };
    return item;
  }
}

function openCommand(file: string): vscode.Command {
  return { command: "vscode.open", title: "Open", arguments: [vscode.Uri.file(file)] };
}
