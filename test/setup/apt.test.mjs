// Reading apt's sources in both formats, and the private sources of one installation.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  aptCommands,
  parseDeb822Sources,
  parseOneLineSources,
  readAptSources,
  releaseSource,
  sourcesWithBackports,
} from "../../setup/apt.mjs";

const DEB822 = `# made by the image
Types: deb deb-src
# a comment inside a stanza
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/mirror.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://third.example/party
Suites: bookworm
Components: stable
Enabled: no

Types: deb-src
URIs: http://mirror.example/debian
Suites: bookworm
Components: main
`;

test("deb822 stanzas give one source for each suite, without disabled and source-only ones", () => {
  const sources = parseDeb822Sources(DEB822);
  assert.deepEqual(
    sources.map(({ uri, suite }) => `${uri} ${suite}`),
    [
      "http://mirror.example/debian bookworm",
      "http://mirror.example/debian bookworm-updates",
      "http://mirror.example/debian-security bookworm-security",
    ],
  );
  assert.deepEqual(sources[0].components, ["main", "contrib"]);
  assert.deepEqual(sources[0].options, { "signed-by": "/usr/share/keyrings/mirror.gpg" });
  assert.deepEqual(sources[2].options, {}, "an embedded key is not taken for a path");
});

test("one-line sources are read with their options; comments, deb-src and cdrom are not", () => {
  const sources = parseOneLineSources(`
# deb http://commented.example/debian bookworm main
deb [ arch=amd64 signed-by=/k.gpg ] http://mirror.example/debian oldstable main non-free # why
deb-src http://mirror.example/debian oldstable main
deb cdrom:[Debian GNU/Linux 12]/ bookworm main
deb	mirror+file:/etc/apt/mirrors/debian.list bookworm-updates main
`);
  assert.deepEqual(sources, [
    {
      uri: "http://mirror.example/debian",
      suite: "oldstable",
      components: ["main", "non-free"],
      options: { arch: "amd64", "signed-by": "/k.gpg" },
    },
    {
      uri: "mirror+file:/etc/apt/mirrors/debian.list",
      suite: "bookworm-updates",
      components: ["main"],
      options: {},
    },
  ]);
});

test("the release's own archive is found by codename before alias, and only with the component main", () => {
  const source = (suite, uri, components = ["main"]) => ({ suite, uri, components, options: {} });
  const sources = [
    source("bookworm", "http://third.example", ["nightly"]),
    source("oldstable", "http://alias.example"),
    source("bookworm", "http://mirror.example"),
  ];
  assert.equal(releaseSource(sources, "bookworm").uri, "http://mirror.example");
  assert.equal(releaseSource(sources.slice(0, 2), "bookworm").uri, "http://alias.example");
  assert.equal(releaseSource(sources.slice(0, 1), "bookworm"), undefined);
});

test("the private sources hold the system's own suites once and backports from the same mirror", () => {
  const text = sourcesWithBackports(
    [
      ...parseDeb822Sources(DEB822),
      ...parseOneLineSources(
        "deb [signed-by=/usr/share/keyrings/mirror.gpg] http://mirror.example/debian bookworm main contrib",
      ),
      ...parseOneLineSources("deb [signed-by=/x.gpg] http://third.example/node nodistro main"),
    ],
    "bookworm",
  );
  const lines = text.trimEnd().split("\n");
  assert.equal(lines.length, 4);
  assert.equal(
    lines[0],
    "deb [signed-by=/usr/share/keyrings/mirror.gpg] http://mirror.example/debian bookworm main contrib",
  );
  assert.match(lines[2], /debian-security bookworm-security main$/);
  assert.equal(
    lines[3],
    "deb [signed-by=/usr/share/keyrings/mirror.gpg] http://mirror.example/debian bookworm-backports main",
  );
  assert.equal(sourcesWithBackports([], "bookworm"), undefined);
});

test("both kinds of file are read from the system's folders, other files are not", () => {
  const root = mkdtempSync(join(tmpdir(), "slm-apt-test-"));
  try {
    assert.deepEqual(readAptSources(root), []);
    mkdirSync(join(root, "etc/apt/sources.list.d"), { recursive: true });
    writeFileSync(join(root, "etc/apt/sources.list"), "deb http://a.example/debian bookworm main\n");
    writeFileSync(
      join(root, "etc/apt/sources.list.d/b.sources"),
      "Types: deb\nURIs: http://b.example\nSuites: x\nComponents: main\n",
    );
    writeFileSync(join(root, "etc/apt/sources.list.d/c.list.disabled"), "deb http://c.example x main\n");
    assert.deepEqual(
      readAptSources(root).map(({ uri }) => uri),
      ["http://a.example/debian", "http://b.example"],
    );
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("apt waits for another apt and takes no recommended packages", () => {
  const [update, install] = aptCommands(["libvulkan1"], ["-o", "X=y"]);
  assert.deepEqual(update, ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "X=y", "update"]);
  assert.deepEqual(install.slice(-4), ["install", "-y", "--no-install-recommends", "libvulkan1"]);
});
