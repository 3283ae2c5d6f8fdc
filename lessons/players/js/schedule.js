// The schedule player: ten pipeline schedules, simulated here, with the memory of each rank under its row.
"use strict";
minipar.player("schedule", function (box) {
  const { make, draw, slider, choice, fraction } = minipar;
  const NAMES = { "naive": "naive (layer parallel)", "gpipe": "GPipe", "1f1b": "1F1B", "eager-1f1b": "eager 1F1B",
    "interleaved": "interleaved 1F1B", "looped-bfs": "looped breadth first", "zb-h1": "ZB-H1", "zb-h2": "ZB-H2",
    "zb-v": "ZB-V", "dualpipev": "DualPipeV" };
  const ROW = 26, STRIP = 16, GAP = 8, LEFT = 52, RIGHT = 96, TOP = 6;
  const schedule = choice("schedule", Object.entries(NAMES), restart);
  const ranks = slider("ranks", 2, 8, 4, restart), micros = slider("micro-batches", 1, 16, 8, restart);
  const F = slider("time of F", 1, 9, 1, restart), B = slider("time of B", 0, 9, 1, restart);
  const W = slider("time of W", 0, 9, 1, restart), message = slider("time of a message", 0, 9, 0, restart);
  const result = make("p", { class: "mp-result" }), picture = make("div", { class: "mp-scroll" });
  const steps = minipar.steps(box, show);
  let run, moments, marks;
  schedule.value = "1f1b";
  box.append(make("div", { class: "mp-fields" }, ...[schedule, ranks, micros, F, B, W, message].map(field => field.element)),
             result, picture, steps.bar, steps.said, legend());
  new ResizeObserver(() => { if (picture.clientWidth) { redraw(); steps.go(steps.step); } }).observe(box);
  restart();

  function restart() {
    run = minipar.simulate(schedule.value, ranks.value, micros.value,
                           { F: F.value, B: B.value, W: W.value, message: message.value });
    moments = [...new Set([0, ...run.end.flat()])].sort((a, b) => a - b);
    const percent = (100 * run.idle / run.total).toFixed(1);
    result.replaceChildren(
      make("strong", { "data-value": "bubble" }, fraction(run.idle, run.total)), ` of all time is idle (bubble, ${percent} %); makespan `,
      make("strong", { "data-value": "makespan" }, fraction(run.makespan, run.perRank)),
      "; most activations kept on a rank: ", make("strong", { "data-value": "peak" }, kept(peakOfAll())), micro(peakOfAll()));
    redraw();
    steps.restart(moments.length - 1);
  }

  // Activations in units of a rank's whole part of the model, for one micro-batch.
  function kept(stages) { return fraction(stages, run.perRank); }
  function micro(stages) { return stages === run.perRank ? " micro-batch" : " micro-batches"; }
  function peakOfAll() { return Math.max(...run.kept.map(one => one.peak)); }

  function redraw() {
    const most = peakOfAll(), wide = Math.max(picture.clientWidth || 700, LEFT + RIGHT + run.makespan * 14 / F.value);
    const unit = (wide - LEFT - RIGHT) / run.makespan, height = TOP + run.orders.length * (ROW + STRIP + GAP) + 18;
    const svg = draw("svg", { width: wide, height, viewBox: `0 0 ${wide} ${height}`, role: "img",
      "aria-label": `${NAMES[schedule.value]} on ${ranks.value} ranks with ${micros.value} micro-batches, as bars over time` });
    svg.append(draw("defs", {}, draw("pattern", { id: "mp-hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse",
      patternTransform: "rotate(45)" }, draw("rect", { width: 6, height: 6, class: "mp-W" }),
      draw("line", { x1: 0, y1: 0, x2: 0, y2: 6, class: "mp-hatch" }))));
    marks = { boxes: [], messages: [], cursor: null, unit };
    run.orders.forEach((order, rank) => {
      const y = TOP + rank * (ROW + STRIP + GAP);
      svg.append(draw("text", { x: LEFT - 8, y: y + ROW / 2 + 5, "text-anchor": "end" }, `rank ${rank}`));
      order.forEach((step, i) => svg.append(bar(step, rank, i, y, unit)));
      svg.append(draw("path", { class: "mp-memory", d: strip(rank, y + ROW + STRIP, unit, most) }),
        draw("text", { x: wide - RIGHT + 8, y: y + ROW + STRIP - 2, class: "mp-small" }, `keeps ≤ ${kept(run.kept[rank].peak)}`));
    });
    if (run.message) for (const line of messages(unit)) svg.append(line);
    marks.cursor = draw("line", { class: "mp-cursor", y1: 0, y2: height - 14 });
    svg.append(marks.cursor, draw("text", { x: LEFT, y: height - 2, class: "mp-small" }, "0"),
      draw("text", { x: wide - RIGHT, y: height - 2, class: "mp-small", "text-anchor": "end" }, `time ${fraction(run.makespan, run.perRank)}`));
    picture.replaceChildren(svg);
  }

  function bar([kind, stage, number], rank, i, y, unit) {
    const x = LEFT + run.start[rank][i] * unit, width = (run.end[rank][i] - run.start[rank][i]) * unit;
    const second = run.perRank > 1 && stage >= ranks.value, words = width > 30 ? kind + number : width > 13 ? String(number) : "";
    const group = draw("g", { class: "mp-bar" }, draw("title", {}, `${kind}${number} of stage ${stage}`),
      draw("rect", { x, y, width: Math.max(0, width - 1), height: ROW, ...look(kind + (second ? "2" : "")) }),
      draw("text", { x: x + width / 2, y: y + ROW / 2 + 5, "text-anchor": "middle", class: `mp-on${second ? "-dark" : ""}` }, words));
    marks.boxes.push([group, run.start[rank][i], run.end[rank][i]]);
    return group;
  }

  // Attributes of a bar's rectangle. W is hatched, so that its colour is not its only sign.
  function look(name) { return name === "W" ? { fill: "url(#mp-hatch)" } : { class: `mp-${name}` }; }

  // A step curve, on its baseline, of what the rank keeps: it rises when F starts, and falls when B or W ends.
  function strip(rank, base, unit, most) {
    const scale = (STRIP - 2) / most;
    let path = `M ${LEFT} ${base}`, level = 0;
    run.kept[rank].after.forEach((after, i) => {
      if (after === level) return;
      const x = LEFT + (after > level ? run.start : run.end)[rank][i] * unit;
      path += ` L ${x} ${base - level * scale} L ${x} ${base - after * scale}`;
      level = after;
    });
    return `${path} Z`;
  }

  function* messages(unit) {
    for (const [rank, order] of run.orders.entries()) {
      for (const [i, [kind, stage, number]] of order.entries()) {
        const to = kind === "F" ? stage + 1 : kind === "B" ? stage - 1 : -1, dest = run.stageToRank[to];
        if (dest === undefined || dest === rank) continue;
        const begin = run.end[rank][i], y = one => TOP + one * (ROW + STRIP + GAP) + (one === dest ? (dest > rank ? 0 : ROW) : (dest > rank ? ROW : 0));
        const line = draw("line", { class: "mp-message", x1: LEFT + begin * unit, y1: y(rank),
          x2: LEFT + (begin + run.message) * unit, y2: y(dest) });
        marks.messages.push([line, begin, begin + run.message, `${kind}${number} from rank ${rank} to ${dest}`]);
        yield line;
      }
    }
  }

  function show(step) {
    const now = moments[step];
    for (const [group, begin, end] of marks.boxes) {
      group.classList.toggle("mp-future", begin >= now && now < run.makespan);
      group.classList.toggle("mp-now", begin <= now && now < end);
      if (begin === now && now < end) group.classList.remove("mp-future");
    }
    for (const [line, begin] of marks.messages) line.classList.toggle("mp-future", begin > now);
    const x = LEFT + now * marks.unit;
    marks.cursor.setAttribute("x1", x);
    marks.cursor.setAttribute("x2", x);
    const doing = run.orders.map((order, rank) => {
      const i = order.findIndex((_, i) => run.start[rank][i] <= now && now < run.end[rank][i]);
      return `rank ${rank} ${i < 0 ? (now >= run.end[rank].at(-1) ? "has finished" : "waits") : order[i][0] + order[i][2]}`;
    });
    const flying = marks.messages.filter(([, begin, end]) => begin <= now && now < end).map(one => one[3]);
    return `Time ${fraction(now, run.perRank)}: ${doing.join(", ")}.${flying.length ? ` In flight: ${flying.join(", ")}.` : ""}`;
  }

  function legend() {
    const one = (name, text) => [draw("svg", { width: 18, height: 14, "aria-hidden": "true" },
      draw("rect", { width: 18, height: 14, ...look(name) })), ` ${text}   `];
    return make("p", { class: "mp-legend" }, ...one("F", "F forward"), ...one("B", "B backward (or its first half)"),
      ...one("W", "W gradients of the weights"), ...one("F2", "darker: the rank's second stage"),
      ...one("memory", "activations kept"),
      make("br", {}), "F, B and W are times of a rank's whole part of the model; a backward that is not split takes B + W. Arrow keys step.");
  }
});
