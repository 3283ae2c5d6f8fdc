// The batch player: recorded forward passes of the same requests, in static batches and with continuous batching.
// arrivals: [pass, prompt, tokens]. A pass: rows [request, rows, decoding], got, finished and waiting requests.
"use strict";
minipar.player("batch", function (box, data) {
  const { make, draw, choice } = minipar;
  const ROW = 18, GAP = 3, RIGHT = 8, HEAD = 24, STRIP = 16;
  const numbers = list => list.map(one => [one, String(one)]);
  const together = choice("run together", numbers(data.batches), restart);
  const rows = choice("tokens per pass", numbers(data.rows), restart);
  const table = make("div", { class: "mp-scroll" }), picture = make("div", { class: "mp-scroll" });
  const steps = minipar.steps(box, show);
  let run, left = 78, narrow = false;             // less room for names on a phone
  together.value = 3;
  rows.value = 8;
  box.append(make("div", { class: "mp-fields" }, together.element, rows.element), table, picture,
             steps.bar, steps.said, legend());
  new ResizeObserver(() => { if (picture.clientWidth && run) paint(steps.step); }).observe(box);
  restart();

  function restart() {
    run = data.runs[together.value][rows.value];
    table.replaceChildren(summary());
    steps.restart(Math.max(...data.ways.map(way => run[way].length)));
  }

  // For each request: the passes from its arrival to its first token.
  function firstTokens(passes) {
    return data.arrivals.map(([when], request) => 1 + passes.findIndex(one => one.got.includes(request)) - when);
  }

  function summary() {
    const heads = ["", "passes", "first token", "at most", "running"];
    return make("table", {}, make("thead", {}, make("tr", {}, ...heads.map(text => make("th", { scope: "col" }, text)))),
      make("tbody", {}, ...data.ways.map(way => {
        const waits = firstTokens(run[way]), running = run[way].reduce((sum, one) => sum + one.rows.length, 0);
        const cells = { passes: run[way].length, mean: short(waits.reduce((a, b) => a + b) / waits.length),
                        most: Math.max(...waits), running: short(running / run[way].length) };
        return make("tr", {}, make("th", { scope: "row" }, way),
          ...Object.entries(cells).map(([name, value]) => make("td", { "data-value": `${way} ${name}` }, String(value))));
      })));
  }

  function short(number) { return String(+number.toFixed(2)); }

  function show(step) {
    paint(step);
    if (!step) return "Start: requests 0 and 1 have arrived.";
    return `Pass ${step}. ` + data.ways.map(way => `${way[0].toUpperCase()}${way.slice(1)}: ${doing(run[way][step - 1])}`).join(" ");
  }

  function doing(pass) {
    if (!pass) return "all have finished.";
    const parts = [["prefill of", pass.rows.filter(one => !one[2]).map(([request, count]) => `${request} (${count} tokens)`)],
                   ["decode of", pass.rows.filter(one => one[2]).map(([request]) => request)],
                   ["waiting", pass.waiting], ["finished", pass.finished]];
    return parts.filter(([, requests]) => requests.length)
      .map(([what, requests]) => `${what} ${requests.join(", ")}`).join("; ") + ".";
  }

  function paint(step) {
    const most = Math.max(...data.ways.map(way => run[way].length));
    narrow = (picture.clientWidth || 700) < 480;
    left = narrow ? 24 : 78;
    const wide = Math.max(picture.clientWidth || 700, left + RIGHT + (narrow ? 8 : 15) * most), unit = (wide - left - RIGHT) / most;
    const panel = HEAD + data.arrivals.length * (ROW + GAP) + STRIP + 14, height = panel * data.ways.length;
    const svg = draw("svg", { width: wide, height, viewBox: `0 0 ${wide} ${height}`, role: "img", "aria-label":
      `${data.arrivals.length} requests over ${step} forward passes, in static batches and with continuous batching` });
    svg.append(draw("defs", {}, draw("pattern", { id: "mp-decode", width: 6, height: 6, patternUnits: "userSpaceOnUse",
      patternTransform: "rotate(45)" }, draw("rect", { width: 6, height: 6, class: "mp-F" }),
      draw("line", { x1: 0, y1: 0, x2: 0, y2: 6, class: "mp-hatch-F" }))));
    data.ways.forEach((way, i) => svg.append(...one(way, step, i * panel, unit)));
    const x = left + step * unit;
    svg.append(draw("line", { class: "mp-cursor", x1: x, x2: x, y1: 0, y2: height - 4 }));
    picture.replaceChildren(svg);
    picture.scrollLeft = x - picture.clientWidth / 2;
  }

  function* one(way, step, top, unit) {
    const passes = run[way], base = top + HEAD + data.arrivals.length * (ROW + GAP) + STRIP;
    const x = number => left + number * unit, y = request => top + HEAD + request * (ROW + GAP);
    yield draw("text", { x: left, y: top + 16, class: "mp-title" }, way);
    for (const [request, [when]] of data.arrivals.entries()) {
      const end = passes.findIndex(pass => pass.finished.includes(request));
      yield draw("text", { x: left - 8, y: y(request) + 14, "text-anchor": "end" }, narrow ? String(request) : `request ${request}`);
      const until = x(Math.min(end + 1, Math.max(step, when))), middle = y(request) + ROW / 2;
      yield draw("line", { x1: x(when), x2: until, y1: middle, y2: middle, class: "mp-base" });
    }
    const seen = new Set(), dots = [];
    for (const [number, pass] of passes.slice(0, step).entries()) {
      for (const [request, count, decoding] of pass.rows) {
        yield cell(x(number), y(request), unit, count, decoding, number === step - 1);
        if (!seen.has(request) && pass.got.includes(request)) {
          seen.add(request);
          dots.push(draw("circle", { cx: x(number + 1) - 1, cy: y(request) + ROW - 1, r: narrow ? 2.5 : 3.5, class: "mp-dot" }));
        }
      }
      const part = (STRIP - 2) * pass.rows.length / Number(together.value);
      yield draw("rect", { x: x(number), y: base - part, width: unit, height: part, class: "mp-memory" });
    }
    yield* dots;
    if (!narrow) yield draw("text", { x: left - 8, y: base, "text-anchor": "end", class: "mp-small" }, "running");
    yield draw("line", { x1: left, x2: x(passes.length), y1: base, y2: base, class: "mp-base" });
    yield draw("line", { x1: left, x2: x(passes.length), y1: base - STRIP + 2, y2: base - STRIP + 2, class: "mp-base" });
  }

  function cell(x, y, width, count, decoding, now) {
    return draw("g", { class: now ? "mp-bar mp-now" : "mp-bar" },
      draw("title", {}, decoding ? "decodes 1 token" : `prefill, ${count} tokens`),
      draw("rect", { x, y, width: width - 1, height: ROW, ...(decoding ? { fill: "url(#mp-decode)" } : { class: "mp-B" }) }),
      decoding || width < 8 * String(count).length + 2 ? "" : draw("text", { x: x + width / 2, y: y + 14, "text-anchor": "middle", class: "mp-on" }, String(count)));
  }

  function legend() {
    const sample = (...parts) => draw("svg", { width: 20, height: 14, "aria-hidden": "true" }, ...parts);
    return make("p", { class: "mp-legend" }, sample(draw("rect", { width: 20, height: 14, class: "mp-B" })),
      " prefill, with the tokens of the prompt that the pass computes   ",
      sample(draw("rect", { width: 20, height: 14, fill: "url(#mp-decode)" })), " decode: one token   ",
      sample(draw("circle", { cx: 10, cy: 7, r: 4, class: "mp-dot" })), " first token   ",
      sample(draw("line", { x1: 0, x2: 20, y1: 7, y2: 7, class: "mp-base" })),
      " waits. The strip below shows how many requests run. The table counts the passes from arrival to the first token (mean, and "
      + "at most), and the requests that run in a pass (mean). Arrow keys step.");
  }
});
