/** Runs in VS Code's extension host: mocha over the tests of this folder. VS Code calls `run` and reads its rejection. */

export async function run(): Promise<void> {
  console.log("tests in the extension host");
  /* mocha stays outside the bundle: it looks for its own files */
  const { default: Mocha } = (await import("mocha")) as unknown as { default: typeof import("mocha") };
  const mocha = new Mocha({ ui: "bdd", timeout: 120_000, reporter: "spec", color: false });
  mocha.suite.emit("pre-require", globalThis, "", mocha);
  await import("./extension.spec.js");
  await import("./configuration.spec.js");
  await import("./kernels.spec.js");
  await import("./walkthrough.spec.js");
  const failures = await new Promise<number>((done) => mocha.run(done));
  if (failures > 0) throw new Error(`${failures} tests failed`);
}
