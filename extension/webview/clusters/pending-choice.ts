/** Which clusters are trained on: as a configuration has it, and as the person chose and has not written yet. */
import { type ClusterChoice, configOf, takenBy } from "../../shared/clusters.js";
import type { ConfigFile } from "../../shared/protocol.js";

/** What of the page's state is about the choice. */
export interface ChoiceState {
  clustering: string | null;
  /** The configuration that the person chose, "" for none; null for that of the job which made the clusters. */
  config: string | null;
  /** What was chosen and is not written yet, by clustering and configuration. */
  unsaved: Record<string, ClusterChoice>;
}

export class PendingChoice {
  /** Those of jobs, as the host last told them. */
  configs: readonly ConfigFile[] = [];

  constructor(private readonly state: ChoiceState) {}

  /** The configuration that the choice is for. */
  get config(): ConfigFile | undefined {
    const { clustering, config } = this.state;
    return config === null
      ? configOf(this.configs, clustering ?? "")
      : this.configs.find(({ path }) => path === config);
  }

  /** What the choice is kept by: numbers of one clustering mean nothing in another. */
  get key(): string {
    return JSON.stringify([this.state.clustering, this.config?.path ?? null]);
  }

  /** What is to be written. */
  get unsaved(): ClusterChoice {
    return this.state.unsaved[this.key] ?? { take: [], leave: [] };
  }

  get isTaken(): (cluster: number) => boolean {
    const { take, leave } = this.unsaved;
    const isTakenByConfig = this.#isTakenByConfig;
    return (cluster) => take.includes(cluster) || (isTakenByConfig(cluster) && !leave.includes(cluster));
  }

  take(cluster: number, isTaken: boolean): void {
    const others = (list: readonly number[]) => list.filter((each) => each !== cluster);
    const [take, leave] = [others(this.unsaved.take), others(this.unsaved.leave)];
    if (isTaken !== this.#isTakenByConfig(cluster)) (isTaken ? take : leave).push(cluster);
    this.state.unsaved = { ...this.state.unsaved, [this.key]: { take, leave } };
  }

  /** Forgets the choice of a key: it is written. */
  forget(key: string): void {
    const { [key]: _, ...unsaved } = this.state.unsaved;
    this.state.unsaved = unsaved;
  }

  get #isTakenByConfig(): (cluster: number) => boolean {
    return takenBy(this.config?.include ?? [], this.config?.exclude ?? []);
  }
}
