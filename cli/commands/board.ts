/** `slm board`: the live pages in a browser, for machines without an editor. */
import { statSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import { startBoard } from "../board/server.js";
import { slmPath } from "../version.js";

interface BoardCommandOptions {
  readonly host: string;
  readonly port: number;
  readonly allowControl?: boolean;
  readonly json?: boolean;
}

const LOOPBACK = new Set(["127.0.0.1", "localhost", "::1"]);

export function registerBoard(program: Command): void {
  program
    .command("board")
    .description("watch runs, explore clusters and compare methods in a browser")
    .argument("[folders...]", "folders with runs, jobs or clusters, looked through some levels down", [])
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--port <number>", "port to listen on; 0 takes a free one", parsePort, 0)
    .option("--allow-control", "let viewers start, stop and resume runs and change clusters in forge.yaml")
    .option("--json", "print the address as JSON")
    .addHelpText(
      "after",
      `
The printed address holds a token: whoever has it may look, with --allow-control also act. Ctrl-C ends the board;
runs go on. From another machine, forward the port: ssh -L 8642:127.0.0.1:8642 SERVER slm board --port 8642 FOLDER`,
    )
    .action(board);
}

async function board(given: string[], options: BoardCommandOptions): Promise<void> {
  const folders = given.length === 0 ? ["."] : given;
  for (const folder of folders) {
    if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
      throw new Error(`${folder}: is no folder. Give folders that hold runs, or none for the current one.`);
  }
  const main = slmPath();
  const { host, port, allowControl } = options;
  const slm = { program: process.execPath, parameters: [main] };
  const served = await startBoard({ folders, host, port, allowControl, slm });
  if (options.json) console.log(JSON.stringify({ address: served.address }));
  else {
    console.log(`Open ${served.address}`);
    if (allowControl) console.log("Viewers may start, stop and resume runs.");
    if (!LOOPBACK.has(host))
      console.log(`Everyone who can reach ${host} and has the address may look; it is not encrypted.`);
    console.log("Ctrl-C ends the board.");
  }
  await new Promise<void>((done) => {
    process.once("SIGINT", done);
    process.once("SIGTERM", done);
  });
  await served.close();
}

function parsePort(value: string): number {
  const port = Number(value);
  if (!/^\d+$/.test(value) || port > 65_535)
    throw new InvalidArgumentError("A whole number from 0 to 65535.");
  return port;
}
