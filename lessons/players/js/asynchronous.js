// The asynchronous player: recorded runs of a parameter server. A gradient is [worker, step, pull, push, applied, update,
// staleness]; weights[k] are those after update k + 1, one for each learning rate.
"use strict";
minipar.player("asynchronous", function (box, data) {
  const { make, draw, choice } = minipar;
  const ROW = 26, GAP = 8, RIGHT = 14, TOP = 6, CURVE = 84, MOST = 2;
  const speed = choice("speed of the workers", Object.entries(data.speeds), restart);
  const mode = choice("who waits", Object.entries(data.modes), restart);
  const rate = choice("learning rate", data.rates.map((one, i) => [i, String(one)]), restart);
  const result = make("p", { class: "mp-result" }), picture = make("div", { class: "mp-scroll" });
  const steps = minipar.steps(box, show);
  let run, updates, left = 74, narrow = false;    // less room for names on a phone
  speed.value = "slow";
  box.append(make("div", { class: "mp-fields" }, speed.element, mode.element, rate.element), result, picture,
             steps.bar, steps.said, legend());
  new ResizeObserver(() => { if (picture.clientWidth && run) paint(steps.step); }).observe(box);
  restart();

  function restart() {
    run = data.runs[speed.value][mode.value];
    updates = [];                                 // update -> [its gradients]
    for (const one of run.gradients) updates[one[5]] = [...(updates[one[5]] || []), one];
    const ages = run.gradients.map(one => one[6]), end = Math.max(...run.gradients.map(one => one[4]));
    result.replaceChildren("The last worker ends after ", strong("end", seconds(end)), "; the oldest gradient is ",
      strong("oldest", String(Math.max(...ages))), " updates old, the mean ",
      strong("mean", short(ages.reduce((a, b) => a + b) / ages.length)), "; the workers wait ",
      strong("waited", seconds(waited())), " in all; the weight ends at ", strong("weight", short(run.weights.at(-1)[rate.value])), " (minimum: 0)");
    steps.restart(run.weights.length);
  }

  function strong(name, text) { return make("strong", { "data-value": name }, text); }
  function short(number) { return String(+number.toPrecision(3)); }
  function seconds(time) { return `${short(time)} s`; }

  // The seconds between two gradients of a worker, and before its gradient is applied.
  function waited() {
    const last = Array(data.workers).fill(0);
    let sum = 0;
    for (const [worker, , pull, push, applied] of run.gradients) {
      sum += pull - last[worker] + applied - push;
      last[worker] = applied;
    }
    return sum;
  }

  function show(step) {
    paint(step);
    if (!step) return `Start: version 0 of the weight is ${data.start}. All workers pull it.`;
    const now = updates[step], [worker, number, pull, , applied, , staleness] = now[0];
    const weight = `The weight becomes ${short(run.weights[step - 1][rate.value])}.`;
    if (now.length > 1) {
      return `Update ${step} at ${seconds(applied)}: gradient ${number} of each worker is there, and their sum is applied. ${weight}`;
    }
    return `Update ${step} at ${seconds(applied)}: gradient ${number} of worker ${worker}, which pulled version `
      + `${step - 1 - staleness} at ${seconds(pull)}. Its staleness is ${staleness}. ${weight}`;
  }

  function paint(step) {
    const end = Math.max(...run.gradients.map(one => one[4])), now = step ? updates[step][0][4] : 0;
    narrow = (picture.clientWidth || 700) < 480;
    left = narrow ? 70 : 74;
    const wide = Math.max(picture.clientWidth || 700, left + RIGHT + (narrow ? 9 : 21) * end), unit = (wide - left - RIGHT) / end;
    const y = row => TOP + row * (ROW + GAP), x = time => left + time * unit, server = data.workers;
    const height = y(server + 1) + CURVE + 34;
    const svg = draw("svg", { width: wide, height, viewBox: `0 0 ${wide} ${height}`, role: "img",
      "aria-label": `${data.workers} workers and a server over ${seconds(end)}, after update ${step}` });
    svg.append(draw("defs", {}, draw("marker", { id: "mp-push", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 11,
      markerHeight: 11, markerUnits: "userSpaceOnUse", orient: "auto" }, draw("path", { d: "M 0 0 L 8 4 L 0 8 z", class: "mp-ink" }))));
    for (let row = 0; row <= server; row++) {
      svg.append(draw("text", { x: left - 8, y: y(row) + 18, "text-anchor": "end" }, row < server ? `worker ${row}` : "server"),
        draw("line", { x1: left, x2: x(row < server ? lastOf(row) : end), y1: y(row) + ROW / 2, y2: y(row) + ROW / 2,
          class: "mp-base" }));
    }
    for (const one of run.gradients) svg.append(bar(one, step, x, y(one[0])));
    for (const text of versions(step, x, y(server))) svg.append(text);
    for (const one of step ? updates[step] : []) {
      svg.append(draw("line", { x1: x(one[4]), y1: y(one[0]) + ROW - 4, x2: x(one[4]), y2: y(server) + 2, class: "mp-flight",
        "marker-end": "url(#mp-push)" }));
    }
    svg.append(...curve(step, x, y(server + 1) + 6),
      draw("line", { class: "mp-cursor", x1: x(now), x2: x(now), y1: 0, y2: height - 16 }),
      draw("text", { x: left, y: height - 2, class: "mp-small" }, "0 s"),
      draw("text", { x: x(end), y: height - 2, class: "mp-small", "text-anchor": "end" }, seconds(end)));
    picture.replaceChildren(svg);
    picture.scrollLeft = x(now) - picture.clientWidth / 2;
  }

  // When the last gradient of a worker is applied.
  function lastOf(worker) { return Math.max(...run.gradients.filter(one => one[0] === worker).map(one => one[4])); }

  function bar([worker, number, pull, push, , update, staleness], step, x, y) {
    const width = x(push) - x(pull), look = update > step ? "mp-bar mp-future" : update === step ? "mp-bar mp-now" : "mp-bar";
    return draw("g", { class: look }, draw("title", {}, `gradient ${number} of worker ${worker}, staleness ${staleness}`),
      draw("rect", { x: x(pull), y, width: width - 1.5, height: ROW, class: staleness ? "mp-B" : "mp-F" }),
      draw("text", { x: x(pull) + width / 2, y: y + 18, "text-anchor": "middle", class: "mp-on" },
        update > step ? "" : String(staleness)));
  }

  // The newest version at each moment at which there are new ones.
  function* versions(step, x, y) {
    const newest = new Map();
    let free = 0;                                 // where the circle before ends
    for (const [, , , , applied, update] of run.gradients) newest.set(applied, update <= step ? update : newest.get(applied));
    for (const [time, version] of newest) {
      if (version === undefined) continue;
      const r = x(time) - 10 < free ? 3 : 10;
      yield draw("circle", { cx: x(time), cy: y + ROW / 2, r, class: "mp-version" }, draw("title", {}, `version ${version}`));
      if (r < 10) continue;
      free = x(time) + 10;
      yield draw("text", { x: x(time), y: y + ROW / 2 + 4, "text-anchor": "middle", class: "mp-small" }, String(version));
    }
  }

  // The weight over time, between -2 and 2; the minimum is at 0.
  function curve(step, x, top) {
    const y = weight => top + CURVE / 2 * (1 - Math.max(-MOST, Math.min(MOST, weight)) / MOST);
    let path = `M ${x(0)} ${y(data.start)}`;
    for (let update = 1; update <= step; update++) {
      path += ` H ${x(updates[update][0][4])} V ${y(run.weights[update - 1][rate.value])}`;
    }
    const end = Math.max(...run.gradients.map(one => one[4]));
    return [...[MOST, 0, -MOST].flatMap(one => [
      draw("line", { x1: left, x2: x(end), y1: y(one), y2: y(one), class: "mp-base" }),
      draw("text", { x: left - 8, y: y(one) + 4, "text-anchor": "end", class: "mp-small" }, one ? String(one) : "weight 0")]),
      draw("path", { d: path, class: "mp-curve" })];
  }

  function legend() {
    return make("p", { class: "mp-legend" }, "A bar is a gradient, from pull to push; the number on it is its staleness. A line "
      + "in a worker's row: it waits. Circles: the newest version of the weight. Below: the weight; the loss is its square / 2. "
      + "Arrow keys step.");
  }
});
