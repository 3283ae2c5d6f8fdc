// The layout explorer: what a rank holds and sends, looked up in numbers that minipar's formulas gave.
"use strict";
// The reason for which minipar refuses a layout, or { bubble, stages }. chosen: field -> value. stages: for each stage,
// line of memory or of traffic -> bytes. data: see recorded() in layout.py.
minipar.layout = function (data, chosen) {
  const key = names => names.map(name => typeof chosen[name] === "boolean" ? Number(chosen[name]) : chosen[name]).join("|");
  for (const [names, reasons] of data.refused) if (key(names) in reasons) return reasons[key(names)];
  const found = name => data.tables[name][key(data.keys[name])];
  const stages = Array.from({ length: Number(chosen.pp) }, () => ({}));
  for (const [name, columns] of Object.entries(data.columns)) {
    found(name).forEach((row, stage) => row.forEach((bytes, i) => { stages[stage][columns[i]] = bytes; }));
  }
  for (const one of stages) {
    one.total = Object.keys(data.lines).reduce((sum, line) => sum + one[line], 0);
    one.dp = one.dp_reduce + one.dp_scatter + one.dp_gather;
    one.sent = data.sent.reduce((sum, line) => sum + one[line], 0);
  }
  return { bubble: found("bubble"), stages };
};

minipar.player("layout", function (box, data) {
  const { make, draw, choice, bytes } = minipar, lines = Object.keys(data.lines);
  const offer = (label, name) => choice(label, data.values[name].map(one => [one, String(one)]), show);
  const fields = {
    model: choice("model", Object.entries(data.models), show), dp: offer("dp, data parallel", "dp"),
    tp: offer("tp, tensor parallel", "tp"), pp: offer("pp, pipeline parallel", "pp"),
    micro_batches: offer("micro-batches", "micro_batches"), recompute: offer("recomputation", "recompute"),
    zero: offer("stage of ZeRO", "zero"), sequence_parallel: minipar.box("sequence parallel", show),
    reshard: minipar.box("reshard after forward", show),
  };
  const sentLines = [["tp", "sent along tp"], ["pp", "sent along pp"], ["dp", "sent along dp"],
    ["dp_reduce", "in all-reduces"], ["dp_scatter", "in reduce-scatters of gradients"], ["dp_gather", "in all-gathers of weights"],
    ["tied", "sent, tied table"], ["sent", "sent in all"]];
  const result = make("p", { class: "mp-result", role: "status", "aria-live": "polite" }), picture = make("div", { class: "mp-scroll" });
  const table = make("div", { class: "mp-scroll" });
  const legend = Object.values(data.lines).map(([letter, name]) => `${letter} ${name}`).join(", ");
  box.append(make("div", { class: "mp-fields" }, ...Object.values(fields).map(one => one.element)),
             result, picture, make("p", { class: "mp-legend" }, legend), table);
  fields.model.value = "gpt2";
  fields.dp.value = fields.tp.value = fields.pp.value = 2;
  fields.micro_batches.value = 8;
  fields.reshard.value = true;
  new ResizeObserver(() => { if (picture.clientWidth) show(); }).observe(box);
  show();

  function show() {
    const chosen = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.value]));
    const found = minipar.layout(data, chosen), ranks = chosen.dp * chosen.tp * chosen.pp;
    if (typeof found === "string") {
      result.replaceChildren(make("strong", {}, "Refused: "), make("span", { "data-value": "refused" }, found));
      picture.replaceChildren();
      table.replaceChildren();
      return;
    }
    const most = name => bytes(Math.max(...found.stages.map(stage => stage[name])));
    result.replaceChildren(make("strong", {}, `${ranks} ${ranks === 1 ? "rank" : "ranks"}`), "; the fullest rank holds ",
      make("strong", { "data-value": "most" }, most("total")), "; a rank sends up to ",
      make("strong", { "data-value": "sends" }, most("sent")), " in a step; bubble ",
      make("strong", { "data-value": "bubble" }, found.bubble));
    picture.replaceChildren(bars(found.stages));
    table.replaceChildren(listed(found.stages));
  }

  function bars(stages) {
    const totals = stages.map(one => one.total), most = Math.max(...totals);
    const width = Math.max(280, picture.clientWidth || 700), left = 62, height = stages.length * 30 + 4;
    const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `memory of each pipeline rank: ${totals.map((one, rank) => `rank ${rank} ${bytes(one)}`).join(", ")}` });
    stages.forEach((one, stage) => {
      let x = left;
      svg.append(draw("text", { x: left - 8, y: 30 * stage + 18, "text-anchor": "end" }, `stage ${stage}`));
      lines.forEach((line, i) => {
        const wide = (width - left - 4) * one[line] / most, [letter, name] = data.lines[line];
        svg.append(draw("g", {}, draw("title", {}, `${name}: ${bytes(one[line])}`),
          draw("rect", { x, y: 30 * stage + 2, width: Math.max(0, wide - 1), height: 24, class: `mp-line-${i}` }),
          wide > 16 ? draw("text", { x: x + wide / 2, y: 30 * stage + 19, "text-anchor": "middle", class: "mp-on" }, letter) : ""));
        x += wide;
      });
    });
    return svg;
  }

  function listed(stages) {
    const row = (line, name, kind) => make("tr", kind ? { class: kind } : {}, make("th", { scope: "row" }, name),
      ...stages.map(one => make("td", { "data-line": line, "data-bytes": one[line] }, bytes(one[line]))));
    const titles = ["held and sent in a step", ...stages.map((_, stage) => `stage ${stage}`)];
    return make("table", {},
      make("caption", { class: "mp-legend" }, "Rank 0 of dp and tp of each stage; no other rank of the stage holds more"),
      make("thead", {}, make("tr", {}, ...titles.map(title => make("th", { scope: "col" }, title)))),
      make("tbody", {}, ...lines.map(line => row(line, data.lines[line][1])), row("total", "held in all", "mp-sum"),
        ...sentLines.map(([line, name]) => row(line, name, { sent: "mp-sum", dp_reduce: "mp-part", dp_scatter: "mp-part",
          dp_gather: "mp-part" }[line]))));
  }
});
