// The ten schedules: for each rank, the order of its instructions. The same rules as minipar/schedules/generators,
// written a second time; a test compares them.
// An instruction is [kind, stage, micro]. A schedule has stageToRank, orders, and split: backward is B and W.
"use strict";
minipar.orders = (function () {
  const range = (from, to) => Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
  const run = (kind, stage, micros) => micros.map(micro => [kind, stage, micro]);
  const perRank = (ranks, order) => range(0, ranks).map(order);

  // `warm` forwards, then forwards and backwards in turn, then the remaining backwards.
  function oneByOne(forwards, backwards, warm) {
    warm = Math.min(warm, forwards.length);
    const pairs = forwards.slice(warm).flatMap((step, i) => [step, backwards[i]]);
    return [...forwards.slice(0, warm), ...pairs, ...backwards.slice(forwards.length - warm)];
  }

  function plain(order) {
    return (ranks, m) => ({
      stageToRank: range(0, ranks), orders: perRank(ranks, s => order(s, range(0, m), ranks)), split: false });
  }

  const naive = plain((s, micros) => micros.flatMap(i => [["F", s, i], ["B", s, i]]));
  const gpipe = plain((s, micros) => [...run("F", s, micros), ...run("B", s, micros)]);
  const turns = times => plain((s, micros, p) => oneByOne(run("F", s, micros), run("B", s, micros), times * (p - 1 - s)));

  // Two stages per rank: stages r and p + r are on rank r.
  function virtual(order) {
    return (ranks, m) => ({
      stageToRank: [...range(0, ranks), ...range(0, ranks)],
      orders: perRank(ranks, r => order([r, ranks + r], m, ranks, r)), split: false });
  }

  const interleaved = virtual((stages, m, p, r) => {
    const groups = evenGroups(m, Math.max(1, Math.floor(m / p)));
    const all = (kind, order) => groups.flatMap(group => order.flatMap(stage => run(kind, stage, group)));
    const warm = groups[0].length + 2 * (p - 1 - r);
    return oneByOne(all("F", stages), all("B", [...stages].reverse()), warm);
  });

  const loopedBfs = virtual((stages, m) => [
    ...stages.flatMap(stage => run("F", stage, range(0, m))),
    ...[...stages].reverse().flatMap(stage => run("B", stage, range(0, m)))]);

  function evenGroups(m, number) {
    const size = Math.floor(m / number), larger = m % number;
    const start = group => size * group + Math.min(group, larger);
    return range(0, number).map(group => range(start(group), start(group + 1)));
  }

  // 1F1B with a split backward, in which stage s runs W after warm * s more backwards.
  function zeroBubble(warm) {
    return (ranks, m) => ({
      stageToRank: range(0, ranks), split: true,
      orders: perRank(ranks, s => {
        const micros = range(0, m), late = warm * s, order = [];
        for (const step of oneByOne(run("F", s, micros), run("B", s, micros), warm * (ranks - 1 - s))) {
          order.push(step);
          if (step[0] === "B" && step[2] >= late) order.push(["W", s, step[2] - late]);
        }
        return [...order, ...run("W", s, range(Math.max(0, m - late), m))];
      }) });
  }

  // The V: stages r and 2p - 1 - r are on rank r. Words as in v_shaped.py: "F0", "BW1" (whole), "B1" (W later), "W".
  function vShaped(least, words) {
    return (ranks, m) => ({
      stageToRank: [...range(0, ranks), ...range(0, ranks).reverse()], split: true,
      orders: perRank(ranks, r => {
        const stages = [r, 2 * ranks - 1 - r], steps = [], later = [], next = {};
        for (const [text, times] of words(r, ranks - 1 - r, Math.max(m, least(ranks)), ranks)) {
          for (const word of Array(Math.max(0, times)).fill(text.split(" ")).flat().filter(word => word)) {
            if (word === "W") { steps.push(later.shift()); continue; }
            const kind = word[0], stage = stages[Number(word.slice(-1))], key = kind + stage;
            next[key] = (key in next ? next[key] : -1) + 1;
            steps.push([kind, stage, next[key]]);
            if (kind === "B") (word.startsWith("BW") ? steps : later).push(["W", stage, next[key]]);
          }
        }
        return steps.filter(step => step[2] < m);
      }) });
  }

  const zbV = vShaped(p => 2 * p - 1, (r, below, filled, p) => [
    ["F0", 2 * below + 1], ["F1 F0", r], ["F1 BW1", below + 1], ["F0 BW0 F1 BW1", filled - below - p],
    ["BW0 F1 BW1", below], ["B0 B1", r], ["B0 W", below + 1], ["W", 2 * r]]);

  const dualPipeV = vShaped(p => 2 * p, (r, below, filled, p) => {
    const alternate = Array(r + 1).fill([1, 0]).flat();
    return [
      ["F0", 2 * below], ["F0 F1", r + 1], ["BW1 F1", below], ["F0 BW1 F1 BW0", filled - below - p],
      ["BW1 F1 BW0", below], [alternate.slice(0, r + 1).map(s => "BW" + s).join(" "), 1],
      [alternate.slice(r + 1).map(s => "B" + s).join(" "), 1], ["W B0", below], ["W", r + 1]];
  });

  return {
    "naive": naive, "gpipe": gpipe, "1f1b": turns(1), "eager-1f1b": turns(2), "interleaved": interleaved,
    "looped-bfs": loopedBfs, "zb-h1": zeroBubble(1), "zb-h2": zeroBubble(2), "zb-v": zbV, "dualpipev": dualPipeV };
})();
