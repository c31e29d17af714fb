/** Ends of paths that tell them apart: as many last parts of each as it is given, more where two would be alike. */
export function distinctTails(lengths: ReadonlyMap<string, number>): Map<string, string> {
  const parts = new Map([...lengths.keys()].map((path) => [path, path.split(/[/\\]/)]));
  const taken = new Map(lengths);
  for (;;) {
    const tails = new Map(
      [...parts].map(([path, all]) => [
        path,
        all.slice(Math.max(0, all.length - taken.get(path)!)).join("/"),
      ]),
    );
    const counts = new Map<string, number>();
    for (const tail of tails.values()) counts.set(tail, (counts.get(tail) ?? 0) + 1);
    const alike = [...tails].filter(
      ([path, tail]) => counts.get(tail)! > 1 && taken.get(path)! < parts.get(path)!.length,
    );
    if (alike.length === 0) return tails;
    for (const [path] of alike) taken.set(path, taken.get(path)! + 1);
  }
}
