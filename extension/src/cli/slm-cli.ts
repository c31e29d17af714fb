/** Runs `slm` for the extension, as a child process with arguments in an array and never through a shell. */
import {
  messageOf,
  type Outcome,
  type RunOptions,
  runToEnd,
  type SlmCommand,
  startDetached,
} from "../../host-data/slm-command.js";
import { CliError } from "./cli-error.js";

export interface StartOptions {
  readonly cwd: string;
  /** File for its messages. */
  readonly log: string;
  /** Told of a failure after the first seconds, as long as this window lives. */
  onFailure?(message: string): void;
}

export interface SlmCliOptions {
  /** Finds the program, each time anew: settings and installations change. @throws CliError */
  locate(): Promise<SlmCommand>;
  /** Told of every command and how it ended. */
  log(line: string): void;
}

export class SlmCli {
  constructor(private readonly options: SlmCliOptions) {}

  /** How `slm` is started now. @throws CliError when there is no Node or no slm, or the workspace is not trusted */
  command(): Promise<SlmCommand> {
    return this.options.locate();
  }

  /** Runs `slm ...args` to its end. Never throws for a non-zero exit. @throws CliError when it cannot be started */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const slm = await this.command();
    const title = titleOf(args);
    const begun = performance.now();
    const outcome = await runToEnd(slm, args, options).catch((error: Error) => {
      throw new CliError(`${title}: ${error.message}`);
    });
    this.options.log(`${title}: exit code ${outcome.code} after ${Math.round(performance.now() - begun)} ms`);
    return outcome;
  }

  /** Runs with --json and parses what it prints. @throws CliError with the CLI's own message */
  async json<T>(args: readonly string[], options: RunOptions = {}): Promise<T> {
    const end = args.indexOf("--");
    const { code, stdout, stderr } = await this.run(
      end < 0 ? [...args, "--json"] : args.toSpliced(end, 0, "--json"),
      options,
    );
    if (code !== 0) throw new CliError(messageOf(stderr) || `${titleOf(args)} ended with exit code ${code}.`);
    try {
      return JSON.parse(stdout) as T;
    } catch {
      throw new CliError(`${titleOf(args)} printed no JSON but: ${stdout.slice(0, 200)}`);
    }
  }

  /**
   * Starts a command that outlives the window; its messages go to the file `log`.
   *
   * @returns its process
   * @throws CliError with its message when it fails within the first seconds
   */
  async startDetached(args: readonly string[], { cwd, log, onFailure }: StartOptions): Promise<number> {
    const slm = await this.command();
    try {
      const process = await startDetached(slm, args, cwd, { log, onFailure });
      this.options.log(`${titleOf(args)}: process ${process}, messages in ${log}`);
      return process;
    } catch (error) {
      throw new CliError((error as Error).message);
    }
  }
}

/** The environment for `slm`: the host's, without what VS Code and Electron keep there for themselves. */
export function cleanEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => name !== "NODE_OPTIONS" && !/^(VSCODE|ELECTRON)_/.test(name)),
  );
}

function titleOf(args: readonly string[]): string {
  return `slm ${args.map((each) => (/^[\w./:=@+-]+$/.test(each) ? each : JSON.stringify(each))).join(" ")}`;
}
