// The collective player: recorded rounds of minipar's algorithms. A cell of the data is a number, cell << 8 | bits:
// bit r says that it holds the contribution of rank r.
"use strict";
minipar.player("collective", function (box, data) {
  const { make, draw, slider, choice, bytes, colours } = minipar;
  const ROW = 34, GAP = 12, LEFT = 54, LANE = 20, TOP = 20;
  const operation = choice("operation", Object.keys(data).map(name => [name, name.replaceAll("_", "-")]), offer);
  const algorithm = choice("algorithm", [], restart), ranks = slider("ranks", 2, 8, 4, restart);
  const size = choice("array", [10, 13, 16, 20, 24, 28].map(power => [2 ** power, bytes(2 ** power)]), restart);
  const alpha = slider("alpha, microseconds per message", 0, 50, 10, restart);
  const rate = slider("1/beta, gigabytes per second", 1, 25, 10, restart);
  const picture = make("div", { class: "mp-scroll" }), result = make("p", { class: "mp-result" });
  const steps = minipar.steps(box, show);
  let run, holds;
  box.append(make("div", { class: "mp-fields" }, ...[operation, algorithm, ranks, size, alpha, rate].map(one => one.element)),
             result, picture, steps.bar, steps.said, legend());
  new ResizeObserver(() => { if (picture.clientWidth && run) steps.go(steps.step); }).observe(box);
  operation.value = "all_reduce";
  offer();
  algorithm.value = "ring";
  restart();

  function offer() {
    algorithm.offer(Object.keys(data[operation.value]).map(name => [name, name.replaceAll("_", " ")]));
    restart();
  }

  function restart() {
    run = data[operation.value][algorithm.value][ranks.value];
    holds = [run.first.map(cells => got(new Map(), cells))];
    for (const { held } of run.rounds) holds.push(held.map((cells, rank) => got(new Map(holds.at(-1)[rank]), cells)));
    steps.restart(run.rounds.length, 0);
  }

  // What a rank holds of a cell is the largest sum that it has got or made so far.
  function got(map, cells) {
    for (const one of cells) {
      const cell = one >> 8, bits = one & 255;
      if (members(bits).length > members(map.get(cell) || 0).length) map.set(cell, bits);
    }
    return map;
  }

  function members(bits) { return [0, 1, 2, 3, 4, 5, 6, 7].filter(rank => bits >> rank & 1); }

  function most(rows) { return Math.max(...rows.flat().map(bits => members(bits).length)); }

  function perCell() { return Number(size.value) / run.cells; }

  // Of all rounds up to this one: the cells each rank has sent, its messages, and the seconds.
  function counted(step) {
    const cells = Array(ranks.value).fill(0), messages = Array(ranks.value).fill(0);
    let seconds = 0;
    for (const round of run.rounds.slice(0, step)) {
      for (const [from, , sent] of round.messages) { cells[from] += sent.length; messages[from] += 1; }
      const longest = Math.max(...round.messages.map(one => one[2].length));
      seconds += alpha.value * 1e-6 + longest * perCell() / (rate.value * 1e9);
    }
    return { cells, messages, seconds };
  }

  function show(step) {
    const { cells, messages, seconds } = counted(step), round = step ? run.rounds[step - 1].messages : [];
    const busiest = Math.max(...cells);
    result.replaceChildren("So far: ", make("strong", { "data-value": "steps" }, String(step)), step === 1 ? " step; " : " steps; ",
      "the busiest rank has sent ", make("strong", { "data-value": "bytes" }, bytes(busiest * perCell())),
      ` in ${messages[cells.indexOf(busiest)]} messages; `, make("strong", { "data-value": "time" }, time(seconds)),
      " (each step: alpha + bytes of its longest message × beta)");
    paint(step, round, cells, messages);
    if (!step) return "Start: what each rank has before the first message.";
    return `Step ${step}: ` + round.map(([from, to, sent]) => `rank ${from} to ${to}: ${sent.map(name).join(", ")}`).join("; ") + ".";
  }

  function time(seconds) {
    return seconds < 1e-3 ? `${+(seconds * 1e6).toPrecision(4)} µs` : `${+(seconds * 1e3).toPrecision(4)} ms`;
  }

  function name(one) {
    const cell = one >> 8, from = members(one & 255);
    if (operation.value === "all_to_all") return `block ${Math.floor(cell / ranks.value)}→${cell % ranks.value}`;
    return `chunk ${cell}${from.length > 1 ? ` (sum of ${from.join("")})` : ""}`;
  }

  // The columns of a rank's row: the chunks of the array; of an all-to-all, the blocks for this rank.
  function row(held, rank) {
    const columns = operation.value === "all_to_all" ? ranks.value : run.cells;
    return Array.from({ length: columns }, (_, i) => held.get(operation.value === "all_to_all" ? i * ranks.value + rank : i) || 0);
  }

  function paint(step, round, cells, messages) {
    const rows = holds[step].map(row), before = step ? holds[step - 1].map(row) : rows, columns = rows[0].length;
    const lanes = 16 + round.length * LANE, room = (picture.clientWidth || 700) - LEFT - lanes - 96;
    const width = Math.max(30, 8 * most(rows) + 4, Math.min(90, room / columns)), right = LEFT + columns * width;
    const all = right + lanes + 96, height = TOP + rows.length * (ROW + GAP);
    const svg = draw("svg", { width: all, height, viewBox: `0 0 ${all} ${height}`, role: "img",
      "aria-label": `what ${ranks.value} ranks hold after step ${step} of ${operation.value}, ${algorithm.value}` });
    svg.append(draw("defs", {}, draw("marker", { id: "mp-arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 12,
      markerHeight: 12, markerUnits: "userSpaceOnUse", orient: "auto" }, draw("path", { d: "M 0 0 L 8 4 L 0 8 z", class: "mp-ink" }))));
    for (let i = 0; i < columns; i++) {
      svg.append(draw("text", { x: LEFT + (i + .5) * width, y: 14, "text-anchor": "middle", class: "mp-small" },
        operation.value === "all_to_all" ? `from ${i}` : String(i)));
    }
    rows.forEach((held, rank) => {
      const y = TOP + rank * (ROW + GAP);
      svg.append(draw("text", { x: LEFT - 8, y: y + 22, "text-anchor": "end" }, `rank ${rank}`));
      held.forEach((bits, i) => svg.append(cell(bits, bits !== before[rank][i], LEFT + i * width, y, width)));
      svg.append(draw("text", { x: right + lanes, y: y + 15, class: "mp-small" }, `sent ${messages[rank]}`),
        draw("text", { x: right + lanes, y: y + 30, class: "mp-small" }, bytes(cells[rank] * perCell())));
    });
    round.forEach(([from, to], i) => {
      const x = right + 14 + i * LANE, middle = rank => TOP + rank * (ROW + GAP) + ROW / 2 + (rank === to ? (to > from ? -6 : 6) : 0);
      svg.append(draw("circle", { cx: x, cy: middle(from), r: 3, class: "mp-ink" }),
        draw("line", { x1: x, y1: middle(from), x2: x, y2: middle(to), class: "mp-flight", "marker-end": "url(#mp-arrow)" }));
    });
    picture.replaceChildren(svg);
  }

  // One stripe for each contribution, with the rank's number where it fits.
  function cell(bits, changed, x, y, width) {
    const from = members(bits), stripe = (width - 3) / Math.max(1, from.length);
    const group = draw("g", {}, draw("title", {}, from.length ? `contributions of ranks ${from.join(", ")}` : "empty"),
      ...from.map((rank, i) => draw("rect", { x: x + i * stripe, y, width: stripe, height: ROW, fill: colours[rank] })),
      draw("rect", { x, y, width: width - 3, height: ROW, class: changed ? "mp-frame mp-changed" : "mp-frame" }));
    from.forEach((rank, i) => {
      if (stripe >= 7) group.append(draw("text", { x: x + (i + .5) * stripe, y: y + 22, "text-anchor": "middle",
        class: rank === 6 ? "mp-on-dark" : "mp-on" }, String(rank)));
    });
    return group;
  }

  function legend() {
    return make("p", { class: "mp-legend" }, "A number in a cell is a rank whose contribution the cell holds; several are their sum. ",
      "A thick frame: changed in this step. Arrows at the right: the messages of this step. Arrow keys step.");
  }
});
