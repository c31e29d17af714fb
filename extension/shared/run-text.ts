/** A run in a line of text, for lists that have no room for a chart. */
import { isActive, progressOf, type RunStateName, type RunSummary } from "./runs.js";

/** Seconds until the first limit of the budget is reached; undefined where nobody can say. */
export function secondsLeft(run: RunSummary): number | undefined {
  const { state, step, tokens, tokensPerSecond, budget } = run;
  if (!isActive(state)) return undefined;
  if (run.secondsLeft !== null) return run.secondsLeft;
  if (!tokensPerSecond || step === 0 || tokens === 0) return undefined;
  const tokensLeft: number[] = [];
  if (budget.steps !== null) tokensLeft.push((budget.steps - step) * (tokens / step));
  if (budget.tokens !== null) tokensLeft.push(budget.tokens - tokens);
  return tokensLeft.length === 0 ? undefined : Math.max(0, Math.min(...tokensLeft)) / tokensPerSecond;
}

/** "42 s", "7 min", "3 h 20 min", "2 d 4 h". */
export function formatSeconds(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 90) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** "950", "12.3k", "4.56M", "1.2G". */
export function formatAmount(value: number): string {
  for (const [size, unit] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const)
    if (value >= size) return `${Number((value / size).toPrecision(3))}${unit}`;
  return String(Math.round(value));
}

/** "step 120 of 200", as far as it is known. */
export function formatStep({ step, budget }: RunSummary): string {
  return budget.steps === null ? `step ${step}` : `step ${step} of ${budget.steps}`;
}

/** All there is to say of a run, its state where it is not plain. */
export function describeRun(run: RunSummary): string {
  if (run.kind === "job") return describeJob(run);
  const { loss, speed, left } = factsOf(run);
  const step = run.state === "damaged" ? undefined : formatStep(run);
  const rate = speed === undefined ? undefined : `${speed} tokens/s`;
  return joined(stateIn(run), step, loss, rate, left);
}

/** The same where a narrow view cuts off the end: first what moves, and short. */
export function describeBriefly(run: RunSummary): string {
  if (run.kind === "job") return describeJob(run);
  const { loss, speed, left } = factsOf(run);
  const { step, budget } = run;
  const short = budget.steps === null ? formatStep(run) : `${step}/${budget.steps}`;
  const rate = speed === undefined ? undefined : `${speed} tok/s`;
  return joined(stateIn(run), left, rate, loss, run.state === "damaged" ? undefined : short);
}

/** How far it is, for a list that shows the state beside it. */
export function describeAdvance(run: RunSummary): string {
  if (run.kind === "job") return isActive(run.state) ? describeJob(run) : "";
  const { loss, speed, left } = factsOf(run);
  return joined(formatStep(run), loss, speed === undefined ? undefined : `${speed} tokens/s`, left);
}

/** The stage that a job is at, or was at when it ended. */
function describeJob(job: RunSummary): string {
  return joined(stateIn(job), job.message ?? (isActive(job.state) ? "begins" : undefined));
}

function factsOf(run: RunSummary) {
  const left = secondsLeft(run);
  return {
    loss: run.loss === null ? undefined : `loss ${run.loss.toFixed(3)}`,
    speed: isActive(run.state) && run.tokensPerSecond ? formatAmount(run.tokensPerSecond) : undefined,
    left: left === undefined ? undefined : `${formatSeconds(left)} left`,
  };
}

function stateIn({ state }: RunSummary): string | undefined {
  return isActive(state) && state !== "stopping" ? undefined : state;
}

function joined(...parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined).join(" · ");
}

/** All of it for screen readers, with what the icon shows. */
export function speakRun(run: RunSummary): string {
  return `${run.name}, ${run.state}, ${describeRun(run).replaceAll(" · ", ", ")}`;
}

/** "41%", or what there is to say without a budget. */
export function describeProgress(run: RunSummary): string {
  if (run.kind === "job") return describeJob(run);
  const progress = progressOf(run);
  return progress === undefined ? formatStep(run) : `${Math.floor(progress * 100)}%`;
}

/** What became of a run that trained, for a notice; undefined when nobody needs to be told. */
export function describeEnd(
  run: RunSummary,
): { readonly text: string; readonly isFailure: boolean } | undefined {
  const loss = run.loss === null ? "" : `, loss ${run.loss.toFixed(3)}`;
  const at = run.kind === "job" ? "" : ` at step ${run.step}`;
  const ends: Partial<Record<RunStateName, { text: string; isFailure: boolean }>> = {
    finished: { text: `${run.name} finished${at}${loss}.`, isFailure: false },
    failed: {
      text: `${run.name} failed${at}: ${run.message ?? "no reason given"}`,
      isFailure: true,
    },
    interrupted: {
      text: `${run.name} ended${at} without saying why: its process is gone.`,
      isFailure: true,
    },
  };
  return ends[run.state];
}
