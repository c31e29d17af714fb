// apt: reading the system's package sources, and the commands that install a Vulkan driver.
// Formats: sources.list(5), one-line and deb822. No host is written down here: whatever mirror the system
// uses for its own release is asked for the backports of that release too.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const ALIASES = ["stable", "oldstable", "oldoldstable"];

/**
 * One archive of the system's sources.
 * @typedef {{ uri: string, suite: string, components: string[], options: Record<string, string> }} AptSource
 */

/** Reads every binary package source of the system whose root folder is `root`. @returns {AptSource[]} */
export function readAptSources(root = "/") {
  const folder = join(root, "etc/apt/sources.list.d");
  const files = [
    join(root, "etc/apt/sources.list"),
    ...(existsSync(folder)
      ? readdirSync(folder)
          .sort()
          .map((name) => join(folder, name))
      : []),
  ];
  return files
    .filter((path) => existsSync(path))
    .flatMap((path) => {
      if (path.endsWith(".list")) return parseOneLineSources(readFileSync(path, "utf8"));
      if (path.endsWith(".sources")) return parseDeb822Sources(readFileSync(path, "utf8"));
      return [];
    });
}

/** Parses `deb [option=value …] uri suite component…` lines. @returns {AptSource[]} */
export function parseOneLineSources(text) {
  return text.split("\n").flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)([^#]*)/.exec(line.replace(/#.*/, ""));
    if (!match || match[2].startsWith("cdrom:")) return [];
    const options = Object.fromEntries(
      (match[1] ?? "")
        .split(/\s+/)
        .filter((option) => option.includes("="))
        .map((option) => [
          option.slice(0, option.indexOf("=")).toLowerCase(),
          option.slice(option.indexOf("=") + 1),
        ]),
    );
    return [{ uri: match[2], suite: match[3], components: match[4].split(/\s+/).filter(Boolean), options }];
  });
}

/** Parses deb822 stanzas: every combination of their types, addresses and suites. @returns {AptSource[]} */
export function parseDeb822Sources(text) {
  const stanzas = text
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .join("\n")
    .split(/\n\s*\n/);
  return stanzas.flatMap((stanza) => {
    const fields = {};
    for (const [, name, value] of stanza.matchAll(/^([A-Za-z-]+):((?:.*(?:\n[ \t].*)*))/gm)) {
      fields[name.toLowerCase()] = value.trim();
    }
    const words = (name) => (fields[name] ?? "").split(/\s+/).filter(Boolean);
    if (!words("types").includes("deb") || /^(no|false|0|off)$/i.test(fields.enabled ?? "")) return [];
    const options = {};
    // A key that is written into the stanza itself is left out: the archive's keyring takes its place.
    if (/^\S+$/.test(fields["signed-by"] ?? "")) options["signed-by"] = fields["signed-by"];
    if (fields.trusted) options.trusted = fields.trusted;
    return words("uris").flatMap((uri) =>
      words("suites").map((suite) => ({ uri, suite, components: words("components"), options })),
    );
  });
}

/** The source that carries the release itself, by its codename or by an alias such as `stable`; or undefined. */
export function releaseSource(sources, codename) {
  const carries = (suite) =>
    sources.find((source) => source.suite === suite && source.components.includes("main"));
  return [codename, ...ALIASES].map(carries).find((source) => source !== undefined);
}

/**
 * A sources.list with the release's own archives and its backports, for one installation only; undefined where the
 * system's sources do not name the release. Third-party sources are left out: none of them is needed.
 */
export function sourcesWithBackports(sources, codename) {
  const release = releaseSource(sources, codename);
  if (!release) return undefined;
  const names = [codename, release.suite];
  const own = sources.filter(({ suite }) =>
    names.some(
      (name) => suite === name || [`${name}-updates`, `${name}-security`, `${name}/updates`].includes(suite),
    ),
  );
  const backports = { ...release, suite: `${codename}-backports`, components: ["main"] };
  return [...new Set([...own, backports].map(oneLine))].join("\n").concat("\n");
}

function oneLine({ uri, suite, components, options }) {
  const all = "signed-by" in options || !existsSync(KEYRING) ? options : { ...options, "signed-by": KEYRING };
  const shown = Object.entries(all).map(([name, value]) => `${name}=${value}`);
  return ["deb", ...(shown.length > 0 ? [`[${shown.join(" ")}]`] : []), uri, suite, ...components].join(" ");
}

/** apt options that use one sources file and a lists folder of its own, so that the system's stay as they are. */
export function privateSourcesOptions(folder) {
  return [
    `Dir::Etc::SourceList=${join(folder, "sources.list")}`,
    "Dir::Etc::SourceParts=/dev/null",
    `Dir::State::Lists=${join(folder, "lists")}`,
    "Dir::Cache::pkgcache=",
    "Dir::Cache::srcpkgcache=",
  ].flatMap((option) => ["-o", option]);
}

/** The two apt-get commands of an installation, without `sudo`. @returns {string[][]} */
export function aptCommands(packages, options = []) {
  // Another apt may be at work, e.g. the unattended upgrades of a machine that was just started.
  const common = ["apt-get", "-o", "DPkg::Lock::Timeout=300", ...options];
  return [
    [...common, "update"],
    [...common, "install", "-y", "--no-install-recommends", ...packages],
  ];
}
