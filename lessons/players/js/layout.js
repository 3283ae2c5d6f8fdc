// The layout explorer: what a rank holds and sends, looked up in numbers that minipar's formulas gave.
"use strict";
minipar.player("layout", function (box, data) {
  const { make, draw, choice, bytes } = minipar;
  const numbers = list => list.map(one => [one, String(one)]);
  const model = choice("model", Object.entries(data.models), show);
  const dp = choice("dp, data parallel", numbers(data.dp), show), tp = choice("tp, tensor parallel", numbers(data.tp), show);
  const pp = choice("pp, pipeline parallel", numbers(data.pp), show);
  const micros = choice("micro-batches", numbers(data.micro_batches), show);
  const recompute = choice("recomputation", data.recompute.map(name => [name, name]), show);
  const sequence = minipar.box("sequence parallel", show);
  const result = make("p", { class: "mp-result", role: "status", "aria-live": "polite" }), picture = make("div", { class: "mp-scroll" });
  const table = make("div", { class: "mp-scroll" });
  box.append(make("div", { class: "mp-fields" }, ...[model, dp, tp, pp, micros, recompute, sequence].map(one => one.element)),
             result, picture,
             make("p", { class: "mp-legend" }, data.lines.map(name => `${name[0].toUpperCase()} ${name}`).join(", ")), table);
  model.value = "gpt2";
  tp.value = pp.value = 2;
  micros.value = 8;
  new ResizeObserver(() => { if (picture.clientWidth) show(); }).observe(box);
  show();

  function show() {
    const key = [model.value, dp.value, tp.value, pp.value, micros.value, recompute.value, sequence.value ? 1 : 0].join("|");
    const found = data.layouts[key], ranks = dp.value * tp.value * pp.value;
    if (typeof found === "string") {
      result.replaceChildren(make("strong", {}, "Refused: "), make("span", { "data-value": "refused" }, found));
      picture.replaceChildren();
      table.replaceChildren();
      return;
    }
    const [bubble, rows] = found, totals = rows.map(row => row.slice(0, 4).reduce((sum, one) => sum + one, 0));
    result.replaceChildren(make("strong", {}, `${ranks} ${ranks === 1 ? "rank" : "ranks"}`), "; the fullest rank holds ",
      make("strong", { "data-value": "most" }, bytes(Math.max(...totals))), "; bubble ", make("strong", { "data-value": "bubble" }, bubble));
    picture.replaceChildren(bars(rows, totals));
    table.replaceChildren(listed(rows, totals));
  }

  function bars(rows, totals) {
    const width = Math.max(280, picture.clientWidth || 700), left = 62, most = Math.max(...totals), height = rows.length * 30 + 4;
    const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `memory of each pipeline rank: ${totals.map((one, rank) => `rank ${rank} ${bytes(one)}`).join(", ")}` });
    rows.forEach((row, rank) => {
      let x = left;
      svg.append(draw("text", { x: left - 8, y: 30 * rank + 18, "text-anchor": "end" }, `stage ${rank}`));
      row.slice(0, 4).forEach((value, line) => {
        const wide = (width - left - 4) * value / most, letter = data.lines[line][0].toUpperCase();
        svg.append(draw("g", {}, draw("title", {}, `${data.lines[line]}: ${bytes(value)}`),
          draw("rect", { x, y: 30 * rank + 2, width: Math.max(0, wide - 1), height: 24, class: `mp-line-${line}` }),
          wide > 16 ? draw("text", { x: x + wide / 2, y: 30 * rank + 19, "text-anchor": "middle", class: "mp-on" }, letter) : ""));
        x += wide;
      });
    });
    return svg;
  }

  function listed(rows, totals) {
    const titles = ["held and sent in a step", ...rows.map((_, rank) => `stage ${rank}`)];
    const names = [...data.lines, "held in all", ...data.axes.map(axis => axis === "tied" ? "sent, tied table" : `sent along ${axis}`)];
    const line = (name, values, kind) => make("tr", {}, make("th", { scope: "row" }, name),
      ...values.map(value => make("td", { "data-line": kind, "data-bytes": value }, bytes(value))));
    const values = i => i < 4 ? rows.map(row => row[i]) : i === 4 ? totals : rows.map(row => row[i - 1]);
    const kinds = [...data.lines, "total", ...data.axes];
    return make("table", {}, make("caption", { class: "mp-legend" }, "Ranks 0 of dp and tp, one for each stage"),
      make("thead", {}, make("tr", {}, ...titles.map(title => make("th", { scope: "col" }, title)))),
      make("tbody", {}, ...names.map((name, i) => line(name, values(i), kinds[i]))));
  }
});
