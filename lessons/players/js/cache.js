// The cache player: recorded moments of a paged KV cache. A moment: said; blocks [state, text]; tables: sequence ->
// [blocks, text]; waiting: sequences without blocks; counters.
"use strict";
minipar.player("cache", function (box, data) {
  const { make, draw, choice, colours } = minipar;
  const WIDE = 70, HIGH = 56, GAP = 8, NAMES = ["0", "1", "2a", "2b", "3"];
  const share = choice("prefix sharing", [["yes", "on"], ["no", "off"]], restart);
  const preemption = choice("preemption", [["recompute", "recompute"], ["swap", "swap"]], restart);
  const result = make("p", { class: "mp-result" });
  const pool = make("div", { class: "mp-scroll" }), tables = make("div", { class: "mp-scroll" });
  const steps = minipar.steps(box, show);
  let moments;
  box.append(make("div", { class: "mp-fields" }, share.element, preemption.element), result, pool, tables,
             steps.bar, steps.said, legend());
  new ResizeObserver(() => { if (pool.clientWidth && moments) show(steps.step); }).observe(box);
  restart();

  function restart() {
    moments = data.runs[preemption.value][share.value];
    steps.restart(moments.length - 1, 0);
  }

  function show(step) {
    const now = moments[step], before = moments[Math.max(0, step - 1)];
    const count = state => now.blocks.filter(one => one[0] === state).length;
    result.replaceChildren("Blocks in use: ", strong("in use", count("in use")), ", cached: ", strong("cached", count("cached")),
      ", free: ", strong("free", count("free")), ". So far, tokens that were not computed because their blocks are shared: ",
      strong("shared", now.shared), "; copies on write: ", strong("copies", now.copies), "; preemptions: ",
      strong("preemptions", now.preemptions), "; evicted blocks: ", strong("evictions", now.evictions), ".");
    pool.replaceChildren(blocks(now, before));
    tables.replaceChildren(listed(now, before));
    return now.said;
  }

  function strong(name, number) { return make("strong", { "data-value": name }, String(number)); }
  function colour(name) { return colours[NAMES.indexOf(name)]; }
  function visible(text) { return text.replaceAll(" ", "␣"); }
  function users(moment, block) { return Object.keys(moment.tables).filter(name => moment.tables[name][0].includes(block)); }

  // The pool: a cell for each block, with its text, and a stripe for each sequence that uses it.
  function blocks(now, before) {
    const columns = Math.max(3, Math.min(now.blocks.length, Math.floor(((pool.clientWidth || 700) + GAP) / (WIDE + GAP))));
    const rows = Math.ceil(now.blocks.length / columns), width = columns * (WIDE + GAP), height = rows * (HIGH + GAP);
    const words = now.blocks.map(([state, text], block) =>
      `block ${block} ${state}${text ? ` "${text}"` : ""}${users(now, block).map(name => ` request ${name}`)}`);
    const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `the pool: ${words.join("; ")}` });
    now.blocks.forEach(([state, text], block) => {
      const x = 2 + block % columns * (WIDE + GAP), y = 2 + Math.floor(block / columns) * (HIGH + GAP), mine = users(now, block);
      const part = WIDE / mine.length, middle = { x: x + WIDE / 2, "text-anchor": "middle" };
      const changed = JSON.stringify([now.blocks[block], mine]) !== JSON.stringify([before.blocks[block], users(before, block)]);
      const frame = `mp-frame${changed ? " mp-changed" : ""}${state === "in use" ? "" : " mp-dashed"}`;
      svg.append(draw("g", {}, draw("title", {}, `block ${block}: ${state}${mine.length ? `, by ${mine.join(", ")}` : ""}`),
        ...mine.map((name, i) => draw("rect", { x: x + i * part, y: y + 36, width: part, height: 18, fill: colour(name) })),
        ...mine.map((name, i) => draw("text", { x: x + (i + .5) * part, y: y + 50, "text-anchor": "middle", class: "mp-on" }, name)),
        draw("text", { x: x + 4, y: y + 12, class: "mp-small" }, String(block)),
        draw("text", { ...middle, y: y + 29, class: state === "cached" ? "mp-mono mp-dim" : "mp-mono" }, visible(text)),
        mine.length ? "" : draw("text", { ...middle, y: y + 49, class: "mp-small" }, state),
        draw("rect", { x, y, width: WIDE, height: 54, class: frame })));
    });
    return svg;
  }

  // The block table of each sequence, and its text.
  function listed(now, before) {
    const names = NAMES.filter(name => name in now.tables || now.waiting.includes(name)), left = 92, chip = 26;
    // The text stands behind the table; on a phone, below it.
    const narrow = (tables.clientWidth || 700) < 480, words = narrow ? left : left + 6 * (chip + 4) + 8, row = narrow ? 48 : 30;
    const width = narrow ? words + 220 : words + 200, height = NAMES.length * row;
    const label = names.map(name => `request ${name}: ${name in now.tables ? now.tables[name][0].join(" ") : "waits"}`).join("; ");
    const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `block tables: ${label || "no request"}` });
    names.forEach((name, i) => {
      const y = i * row, [table, text] = now.tables[name] || [[], ""], old = (before.tables[name] || [[]])[0];
      svg.append(draw("text", { x: left - 8, y: y + 20, "text-anchor": "end" }, `request ${name}`));
      if (!table.length) svg.append(draw("text", { x: left, y: y + 20, class: "mp-small" }, "waits, without blocks"));
      table.forEach((block, at) => {
        const x = left + at * (chip + 4), look = old[at] === block ? "mp-chip" : "mp-chip mp-changed";
        svg.append(draw("rect", { x, y: y + 3, width: chip, height: 24, fill: colour(name), class: look }),
          draw("text", { x: x + chip / 2, y: y + 20, "text-anchor": "middle", class: "mp-on" }, String(block)));
      });
      svg.append(draw("text", { x: words, y: y + (narrow ? 42 : 20), class: "mp-mono" }, visible(text)));
    });
    return svg;
  }

  function legend() {
    return make("p", { class: "mp-legend" }, `Above: the blocks, ${data.size} tokens each (here a token is a character, ␣ a space). `
      + "Coloured stripes: the requests that use a block; 2a and 2b are samples of request 2. Dashed: no request uses it. Below: the "
      + "block table of each request, in the order of its text. A thick frame: changed in this step. A preempted request loses its "
      + "blocks: it computes them again later (recompute), or they are copied out and back (swap). Arrow keys step.");
  }
});
