// The start and the end of every instruction, if every rank executes its own in order, and what each rank keeps.
// As minipar/schedules/simulate.py, for whole numbers; a test compares the two.
"use strict";
minipar.simulate = function (name, ranks, micros, costs) {
  const schedule = minipar.orders[name](ranks, micros), { stageToRank, orders, split } = schedule;
  const stages = stageToRank.length, perRank = stages / ranks;
  // The sliders give the times of a rank's whole part of the model. A unit of time is 1 / perRank of theirs, so that a
  // stage that is half as long takes a whole number of units.
  const time = { F: costs.F, B: split ? costs.B : costs.B + costs.W, W: costs.W }, message = costs.message * perRank;
  const left = new Map(), start = orders.map(() => []), end = orders.map(() => []);
  const neededBy = ([kind, stage, micro]) => kind === "F" && stage > 0 ? `F${stage - 1},${micro}`
    : kind === "B" && stage < stages - 1 ? `B${stage + 1},${micro}` : null;
  let moved = true;
  while (moved) {
    moved = false;
    orders.forEach((order, rank) => {
      while (end[rank].length < order.length) {
        const step = order[end[rank].length], needed = neededBy(step);
        let clock = end[rank].length ? end[rank].at(-1) : 0;
        if (needed !== null) {
          if (!left.has(needed)) return;
          const [at, source] = left.get(needed);
          clock = Math.max(clock, at + (source === rank ? 0 : message));
        }
        start[rank].push(clock);
        end[rank].push(clock + time[step[0]]);
        left.set(`${step[0]}${step[1]},${step[2]}`, [end[rank].at(-1), rank]);
        moved = true;
      }
    });
  }
  const makespan = Math.max(...end.map(times => times.at(-1)));
  const busy = orders.map((order, rank) => order.reduce((sum, _, i) => sum + end[rank][i] - start[rank][i], 0));
  const work = busy.reduce((sum, one) => sum + one, 0);
  return { ...schedule, stages, perRank, message, start, end, makespan, busy, kept: minipar.kept(schedule),
           idle: ranks * makespan - work, total: ranks * makespan };
};

// For each rank, the number of activations (pairs of stage and micro-batch) that it keeps after each instruction, and
// the largest number. F adds one; what ends the backward, W or a whole B, frees it.
minipar.kept = function ({ orders, split }) {
  return orders.map(order => {
    let now = 0, peak = 0;
    const after = order.map(([kind]) => {
      now += kind === "F" ? 1 : kind === (split ? "W" : "B") ? -1 : 0;
      peak = Math.max(peak, now);
      return now;
    });
    return { after, peak };
  });
};
