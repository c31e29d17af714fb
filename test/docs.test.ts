// What the documents point at must exist: files behind relative links and anchors, scripts of commands, commands and options of slm.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, it } from "node:test";
import { packageRoot, slmPath } from "../cli/version.js";

const root = packageRoot();
const FOLDERS = [".", "docs", "bench", "bench/peers"];

const documents = FOLDERS.flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(root, folder, name)),
);

const scripts = (
  JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: Record<string, string> }
).scripts;

/** The text without fenced code, in which brackets are no links. */
function prose(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, "");
}

/** GitHub's anchor of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[`*]/g, "")
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .trim()
    .replaceAll(" ", "-");
}

/** Command lines: those of sh blocks and indented blocks, and inline code that begins like one. */
function commandsOf(text: string): string[] {
  const blocks = [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap((match) => match[1].split("\n"));
  const indented = text.split("\n").filter((line) => /^ {4}(node|npm|npx|slm) /.test(line));
  const inline = [...prose(text).matchAll(/`([^`\n]+)`/g)].map((match) => match[1]);
  return [...blocks, ...indented, ...inline]
    .map((line) => line.replace(/(^|\s)#.*/, "").trim())
    .map((line) => line.replace(/^npx /, ""))
    .filter((line) => /^(node \S+\.m?js|npm (run|ci|test)|slm [a-z])/.test(line));
}

/** Words of `slm a b …` before the first option, argument or file. */
function slmWords(command: string): string[] {
  const words = command.split(/\s+/).slice(1);
  const end = words.findIndex((word) => !/^[a-z]+$/.test(word));
  return end < 0 ? words : words.slice(0, end);
}

const help = new Map<string, string>();

/** What `slm words… --help` prints. */
function helpOf(words: readonly string[]): string {
  const key = words.join(" ");
  let text = help.get(key);
  if (text === undefined) {
    text = spawnSync(process.execPath, [slmPath(), ...words, "--help"], {
      encoding: "utf8",
    }).stdout;
    help.set(key, text);
  }
  return text;
}

/** The longest beginning of `words` that is a command; the rest are its arguments. */
function commandOf(words: readonly string[]): string | undefined {
  for (let length = Math.min(words.length, 2); length > 0; length--) {
    const begin = words.slice(0, length);
    const text = helpOf(begin);
    if (new RegExp(`^Usage: slm ${begin.join(" ")}\\b`).test(text)) return text;
  }
  return undefined;
}

const optionsOf = (command: string) =>
  [...command.matchAll(/(?:^|[\s[])(--[a-z][a-z-]*)/g)].map((match) => match[1]);

for (const document of documents) {
  const name = relative(root, document);
  const text = readFileSync(document, "utf8");

  describe(name, () => {
    it("links to files and headings that exist", () => {
      for (const [, target] of prose(text).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        const [path, anchor] = target.split("#");
        const file = path === "" ? document : join(dirname(document), path);
        assert.ok(existsSync(file), `${name} links to ${target}, which is not there`);
        if (anchor === undefined) continue;
        const headings = readFileSync(file, "utf8").matchAll(/^#+ (.+)$/gm);
        const anchors = [...headings].map((match) => anchorOf(match[1]));
        assert.ok(anchors.includes(anchor), `${name} links to ${target}, which has no such heading`);
      }
    });

    it("names commands that exist, with options that they take", () => {
      for (const command of commandsOf(text)) {
        if (command.startsWith("slm ")) {
          const words = slmWords(command);
          const usage = commandOf(words);
          assert.ok(usage, `${name} names \`${command}\`; slm has no such command`);
          for (const option of optionsOf(command)) {
            assert.ok(usage.includes(option), `${name} names \`${command}\`; it has no ${option}`);
          }
        } else if (command.startsWith("node ")) {
          const script = command.split(/\s+/)[1];
          const compiled = script.startsWith("dist/");
          const file = compiled
            ? join(root, script.slice("dist/".length).replace(/\.js$/, ".ts"))
            : [join(root, script), join(dirname(document), script)].find(existsSync);
          assert.ok(file && existsSync(file), `${name} names \`${command}\`; there is no ${script}`);
          const source = readFileSync(file, "utf8");
          for (const option of optionsOf(command)) {
            assert.ok(source.includes(option), `${name} names \`${command}\`; ${script} has no ${option}`);
          }
        } else {
          const script = /^npm (?:run )?(?!ci\b)([a-z:]+)/.exec(command)?.[1];
          const folder = /--prefix (\S+)/.exec(command)?.[1];
          if (script) assert.ok(scripts[script], `${name} names \`${command}\`; there is no such script`);
          if (folder) {
            assert.ok(existsSync(join(root, folder, "package.json")), `${name}: no package in ${folder}`);
          }
        }
      }
    });
  });
}
