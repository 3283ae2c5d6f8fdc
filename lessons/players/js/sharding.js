// The sharding player: recorded moments of one training step. units: [name, elements]. A moment: said; units that it is
// about; sent: bytes by rank; weights and gradients: unit -> "whole" in a buffer, or "moves" while it is sent.
"use strict";
minipar.player("sharding", function (box, data) {
  const { make, draw, choice, bytes } = minipar;
  const STRIP = 14, GAP = 10, LEFT = 116, RIGHT = 4, TOP = 20;
  const stage = choice("stage of ZeRO", Object.entries(data.stages), restart);
  const micros = choice("micro-batches", data.micro_batches.map(one => [one, String(one)]), restart);
  const result = make("p", { class: "mp-result" }), picture = make("div", { class: "mp-scroll" });
  const steps = minipar.steps(box, show);
  const total = data.units.reduce((sum, [, elements]) => sum + elements, 0);
  let run;
  stage.value = "3";
  box.append(make("div", { class: "mp-fields" }, stage.element, micros.element), result, picture,
             steps.bar, steps.said, legend());
  new ResizeObserver(() => { if (picture.clientWidth && run) paint(steps.step); }).observe(box);
  restart();

  function restart() {
    run = data.runs[stage.value][micros.value];
    steps.restart(run.moments.length - 1, 0);
  }

  function amount(name, number) { return make("strong", { "data-value": name, "data-bytes": number }, bytes(number)); }

  function level() { return Number(stage.value[0]); }

  function sentBy(rank, step) { return run.moments.slice(0, step + 1).reduce((sum, one) => sum + one.sent[rank], 0); }

  function show(step) {
    const held = run.held[0], parts = data.lines.map((name, i) => `${name} ${bytes(held[i])}`).join(", ");
    const fullest = Math.max(...run.held.map(lines => lines.reduce((a, b) => a + b)));
    const busiest = Math.max(...run.held.map((_, rank) => sentBy(rank, step)));
    result.replaceChildren("A rank holds ", amount("held", fullest), ` (${parts}). So far it has sent `, amount("sent", busiest),
      " of ", amount("all", sentBy(0, run.moments.length)), ".");
    paint(step);
    const now = run.moments[step], most = Math.max(...now.sent);
    const there = Object.keys(now.weights).filter(unit => now.weights[unit] === "whole");
    return `Step ${step}: ${now.said}${most ? `; each rank sends ${bytes(most)}` : ""}.`
      + (level() === 3 ? ` Whole on every rank: ${there.join(", ") || "nothing"}.` : "");
  }

  // The strips of a rank: [name, class, all of it, buffers].
  function strips(now) {
    const all = [["weights", "mp-line-0", level() < 3, null], ["gathered", "mp-line-0", false, now.weights],
                 ["gradients", "mp-line-1", level() < 2, null], ["unsummed", "mp-line-1", false, now.gradients],
                 ["state", "mp-line-2", level() < 1, null]];
    return all.filter(([name]) => (level() === 3 || name !== "gathered") && (level() >= 2 || name !== "unsummed"));
  }

  function paint(step) {
    const now = run.moments[step], rows = strips(now), band = rows.length * STRIP + GAP;
    const wide = Math.max(picture.clientWidth || 700, LEFT + RIGHT + 200), height = TOP + data.ranks * band;
    const scale = (wide - LEFT - RIGHT) / total, x = elements => LEFT + elements * scale;
    const svg = draw("svg", { width: wide, height, viewBox: `0 0 ${wide} ${height}`, role: "img", "aria-label":
      `what ${data.ranks} ranks hold at step ${step} of ZeRO stage ${stage.value}: ${described(rows)}` });
    svg.append(draw("defs", {}, draw("pattern", { id: "mp-moves", width: 5, height: 5, patternUnits: "userSpaceOnUse",
      patternTransform: "rotate(45)" }, draw("line", { x1: 0, y1: 0, x2: 0, y2: 5, class: "mp-moves" }))));
    let start = 0;
    for (const [unit, elements] of data.units) {
      const width = elements * scale, name = unit.replace("blocks.", width > 52 ? "block " : "");
      if (now.units.includes(unit)) svg.append(draw("rect", { x: x(start), y: 0, width, height, class: "mp-column" }));
      if (width > 7 * name.length) {
        svg.append(draw("text", { x: x(start) + width / 2, y: 13, "text-anchor": "middle", class: "mp-small" }, name));
      }
      start += elements;
    }
    for (let rank = 0; rank < data.ranks; rank++) {
      rows.forEach((row, i) => svg.append(...strip(row, rank, i, TOP + rank * band + i * STRIP, x, scale)));
    }
    picture.replaceChildren(svg);
  }

  function described(rows) {
    return rows.map(([name, , whole, buffers]) =>
      `${name} ${whole ? "whole" : buffers ? Object.keys(buffers).join(" ") || "none" : "a shard"}`).join(", ");
  }

  function* strip([name, look, whole, buffers], rank, i, y, x, scale) {
    if (!i) yield draw("text", { x: 0, y: y + 12 }, `rank ${rank}`);
    yield draw("text", { x: LEFT - 6, y: y + 11, "text-anchor": "end", class: "mp-small" }, name);
    yield draw("rect", { x: LEFT, y: y + 1, width: total * scale, height: STRIP - 2, class: "mp-strip" });
    let start = 0;
    for (const [unit, elements] of data.units) {
      const [begin, count] = buffers || whole ? [0, elements] : shard(elements, rank);
      const state = buffers ? buffers[unit] : "whole";
      if (state) {
        const what = buffers ? state : whole ? "whole" : `shard of rank ${rank}`;
        yield draw("g", {}, draw("title", {}, `${name} of ${unit}: ${what}`),
          draw("rect", { x: x(start + begin), y: y + 1, width: Math.max(1, count * scale - .5), height: STRIP - 2,
            ...(state === "moves" ? { fill: "url(#mp-moves)" } : { class: look }) }));
      }
      start += elements;
    }
  }

  // The first element and the number of elements of a unit that a rank owns.
  function shard(elements, rank) {
    const each = Math.floor(elements / data.ranks), more = elements % data.ranks;
    return [rank * each + Math.min(rank, more), each + (rank < more ? 1 : 0)];
  }

  function legend() {
    const sample = attributes => draw("svg", { width: 20, height: 12, "aria-hidden": "true" },
      draw("rect", { width: 20, height: 12, ...attributes }));
    return make("p", { class: "mp-legend" }, "A strip is all parameters of the model; what a rank holds of them is filled. ",
      sample({ class: "mp-line-0" }), " weights   ", sample({ class: "mp-line-1" }), " gradients   ",
      sample({ class: "mp-line-2" }), " the optimiser's state   ", sample({ fill: "url(#mp-moves)" }), " is gathered or summed now. "
      + "The shaded column is the unit that runs or travels. Units are whole in buffers (“gathered” in the bytes above), which are "
      + "allocated once: so the bytes held stay the same. Activations are not counted. Arrow keys step.");
  }
});
