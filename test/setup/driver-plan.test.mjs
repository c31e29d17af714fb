// The decision table of the driver stage: every kind of machine that the set-up knows, and what it does there.

import assert from "node:assert/strict";
import { test } from "node:test";
import { planDriver } from "../../setup/driver-plan.mjs";

const debian = (version, codename) => ({
  id: "debian",
  like: [],
  version,
  codename,
  name: `Debian ${version}`,
});
const ubuntu = (version, codename) => ({
  id: "ubuntu",
  like: ["debian"],
  version,
  codename,
  name: `Ubuntu ${version}`,
});
const other = (id, like = []) => ({ id, like, version: "1", codename: "", name: id });

const MIRROR = [
  { uri: "http://mirror.example/debian", suite: "bookworm", components: ["main"], options: {} },
];
const SOFTWARE = { name: "llvmpipe", kind: "software" };
const NVIDIA = { vendor: "NVIDIA", description: "NVIDIA GPU 10de:2330 at PCI 0000:01:00.0", given: true };
const INTEL = { vendor: "Intel", description: "Intel GPU 8086:46a6 at PCI 0000:00:02.0", given: true };
const problem = (code) => ({ code, problem: `problem ${code}`, remedy: `remedy ${code}` });

/** A fresh Debian 12 without a GPU, as root; each case changes what it is about. */
function findings(changes = {}) {
  return {
    platform: "linux",
    distribution: debian("12", "bookworm"),
    adapter: null,
    signs: [],
    problems: [problem("no-vulkan-loader")],
    inContainer: false,
    allowSoftware: false,
    isRoot: true,
    sudo: "none",
    interactive: false,
    hasApt: true,
    sources: MIRROR,
    ...changes,
  };
}

test("macOS and Windows need no driver step", () => {
  for (const platform of ["darwin", "win32"])
    assert.equal(planDriver({ platform, problems: [] }).action, "ready");
});

test("a GPU that works is left alone", () => {
  const plan = planDriver(
    findings({ adapter: { name: "NVIDIA H200", kind: "gpu" }, signs: [NVIDIA], problems: [] }),
  );
  assert.deepEqual(plan, { action: "ready", say: "ready: NVIDIA H200" });
});

test("a software adapter on a machine without a GPU is enough, and is named as such", () => {
  const plan = planDriver(findings({ adapter: SOFTWARE, problems: [] }));
  assert.equal(plan.action, "ready");
  assert.match(plan.say, /llvmpipe \(software adapter, no GPU\)/);
});

const PLAIN = ["libvulkan1", "mesa-vulkan-drivers"];
const BACKPORTS = ["libvulkan1", "mesa-vulkan-drivers/bookworm-backports"];
const distributions = [
  [debian("12", "bookworm"), BACKPORTS, "bookworm"],
  [{ ...other("linuxmint", ["debian"]), codename: "bookworm" }, BACKPORTS, "bookworm"],
  [debian("13", "trixie"), PLAIN, undefined],
  [debian("", "forky"), PLAIN, undefined],
  [ubuntu("22.04", "jammy"), PLAIN, undefined],
  [ubuntu("24.04", "noble"), PLAIN, undefined],
  [{ ...other("pop", ["ubuntu", "debian"]), codename: "jammy" }, PLAIN, undefined],
];
for (const [distribution, packages, backports] of distributions) {
  test(`without an adapter, ${distribution.name} ${distribution.codename} gets ${packages[1]}`, () => {
    const { action, recipe, escalate, say } = planDriver(findings({ distribution }));
    assert.equal(action, "install");
    assert.deepEqual([recipe.packages, recipe.backports, escalate], [packages, backports, []]);
    assert.match(say, /no GPU found: installing a software Vulkan driver/);
  });
}

test("Debian 12 replaces its old driver, and names what is missing where apt names no mirror", () => {
  assert.equal(planDriver(findings({ problems: [problem("old-lavapipe")] })).action, "install");
  const plan = planDriver(findings({ sources: [] }));
  assert.equal(plan.action, "stop");
  assert.match(plan.say, /bookworm-backports.*no mirror/s);
});

test("sudo is asked only where it is needed, and never where nobody can answer", () => {
  const user = { isRoot: false };
  assert.deepEqual(planDriver(findings({ ...user, sudo: "free" })).escalate, ["sudo", "-n"]);
  const asked = planDriver(findings({ ...user, sudo: "password", interactive: true }));
  assert.deepEqual(asked.escalate, ["sudo"]);
  assert.match(asked.say, /may ask for your password/);
  for (const sudo of ["password", "none"]) {
    const plan = planDriver(findings({ ...user, sudo }));
    assert.equal(plan.action, "stop");
    assert.ok(
      plan.say.endsWith(
        "echo 'deb http://mirror.example/debian bookworm-backports main' | sudo tee /etc/apt/sources.list.d/bookworm-backports.list" +
          " && sudo apt-get update && sudo apt-get install -y --no-install-recommends libvulkan1 mesa-vulkan-drivers/bookworm-backports",
      ),
      plan.say,
    );
  }
  const plain = planDriver(findings({ ...user, distribution: debian("13", "trixie") }));
  assert.ok(
    plain.say.endsWith(
      "sudo apt-get update && sudo apt-get install -y --no-install-recommends libvulkan1 mesa-vulkan-drivers",
    ),
  );
});

test("other distributions are told what to install", () => {
  const said = (id, like) => planDriver(findings({ distribution: other(id, like), hasApt: false }));
  for (const [plan, words] of [
    [said("fedora"), "sudo dnf install vulkan-loader mesa-vulkan-drivers"],
    [said("rocky", ["rhel", "centos", "fedora"]), "sudo dnf install"],
    [said("arch"), "sudo pacman -S vulkan-icd-loader vulkan-swrast"],
    [said("opensuse-leap", ["suse", "opensuse"]), "sudo zypper install"],
    [said("void"), "Mesa's lavapipe driver"],
    [planDriver(findings({ distribution: null, hasApt: false })), "Mesa's lavapipe driver"],
  ]) {
    assert.equal(plan.action, "stop");
    assert.ok(plan.say.includes(words), plan.say);
  }
});

test("a GPU that Vulkan does not find stops the set-up, with or without a software adapter", () => {
  for (const adapter of [null, SOFTWARE]) {
    const plan = planDriver(
      findings({
        adapter,
        signs: [NVIDIA],
        problems: [problem("nvidia-container-capabilities")],
        inContainer: true,
      }),
    );
    assert.equal(plan.action, "stop");
    assert.match(plan.say, /10de:2330/);
    assert.match(plan.say, /-> remedy nvidia-container-capabilities/);
    assert.match(plan.say, /SLM_ALLOW_SOFTWARE=1/);
  }
});

test("software that was allowed is used beside a GPU, and said to be", () => {
  const hurt = { signs: [NVIDIA], problems: [problem("nvidia-version-mismatch")], allowSoftware: true };
  const ready = planDriver(findings({ ...hurt, adapter: SOFTWARE }));
  assert.equal(ready.action, "ready");
  assert.match(ready.say, /^NOT using the GPU.*10de:2330.*remedy nvidia-version-mismatch/s);
  const installing = planDriver(findings(hurt));
  assert.equal(installing.action, "install");
  assert.match(installing.say, /^NOT using the GPU/);
});

test("a GPU of the host that was not given to the container does not stop it, and is mentioned", () => {
  const unseen = { signs: [{ ...NVIDIA, given: false }], problems: [problem("gpu-not-given-to-container")] };
  const inside = planDriver(findings({ ...unseen, inContainer: true, adapter: SOFTWARE }));
  assert.equal(inside.action, "ready");
  assert.match(inside.say, /NOT using the GPU.*remedy gpu-not-given-to-container/s);
  assert.equal(planDriver(findings({ ...unseen, inContainer: false, adapter: SOFTWARE })).action, "stop");
});

test("a GPU that only lacks Mesa's driver or the loader gets it installed", () => {
  const mesa = planDriver(
    findings({ signs: [INTEL], problems: [problem("no-vulkan-loader"), problem("mesa-driver-missing")] }),
  );
  assert.equal(mesa.action, "install");
  assert.deepEqual(mesa.recipe.packages, BACKPORTS);
  assert.match(mesa.say, /8086:46a6.*Mesa's Vulkan driver/);
  const loader = planDriver(findings({ signs: [NVIDIA] }));
  assert.equal(loader.action, "install");
  assert.deepEqual(loader.recipe.packages, ["libvulkan1"]);
});

test("what no driver can mend stops the set-up", () => {
  for (const code of ["musl", "old-glibc"]) {
    const plan = planDriver(findings({ problems: [problem(code)], allowSoftware: true }));
    assert.equal(plan.action, "stop");
    assert.match(plan.say, new RegExp(`Dawn cannot run here: .*remedy ${code}`, "s"));
  }
  const override = planDriver(findings({ problems: [problem("driver-override")] }));
  assert.equal(override.action, "stop");
  assert.match(override.say, /remedy driver-override/);
});
