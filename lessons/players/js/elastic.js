// The elastic player: the recorded lives of one training. A life: ranks that are there, dp, pp, first step, steps
// [step, loss], replicas (steps done), killed (a rank, or null).
"use strict";
minipar.player("elastic", function (box, data) {
  const { make, draw, choice } = minipar;
  const ROW = 34, LEFT = 62, RIGHT = 10, TOP = 22, WIDE = 58, HIGH = 34, GAP = 8;
  const every = choice("steps per replica", data.every.map(one => [one, String(one)]), restart);
  const result = make("p", { class: "mp-result" });
  const ranks = make("div", { class: "mp-scroll" }), picture = make("div", { class: "mp-scroll" });
  const steps = minipar.steps(box, show);
  let lives, events;
  every.value = 2;
  box.append(make("div", { class: "mp-fields" }, every.element), result, ranks, picture, steps.bar, steps.said, legend());
  new ResizeObserver(() => { if (picture.clientWidth && lives) show(steps.step); }).observe(box);
  restart();

  // Events: the start of a life, each of its steps, and its end.
  function restart() {
    lives = data.runs[every.value];
    events = lives.flatMap((one, life) => [{ life, kind: "start", steps: 0 },
      ...one.steps.map((_, i) => ({ life, kind: "step", steps: i + 1 })), { life, kind: "end", steps: one.steps.length }]);
    steps.restart(events.length - 1, 0);
  }

  function show(number) {
    const { life, kind, steps: finished } = events[number], now = lives[life];
    const executed = [...lives.slice(0, life).flatMap(one => one.steps), ...now.steps.slice(0, finished)];
    const deaths = life + (kind === "end" && now.killed !== null ? 1 : 0), once = new Set(executed.map(one => one[0])).size;
    result.replaceChildren("Steps executed: ", strong("executed", executed.length), ", of which ",
      strong("repeated", executed.length - once), " a second time; deaths: ", strong("deaths", deaths), "; ranks left: ",
      strong("left", now.ranks - deaths + life), "; layout: ", strong("layout", `dp ${now.dp}, pp ${now.pp}`));
    ranks.replaceChildren(grid(now, kind));
    picture.replaceChildren(chart(life, kind, finished));
    return said(now, life, kind, finished);
  }

  function strong(name, text) { return make("strong", { "data-value": name }, String(text)); }

  function said(now, life, kind, finished) {
    const spare = now.ranks - now.dp * now.pp;
    if (kind === "start") {
      const from = life ? now.first ? `restores the replica after ${now.first} steps` : "finds no replica and begins again" : "begins";
      return `Life ${life} ${from}, with dp ${now.dp} and pp ${now.pp} on ${now.dp * now.pp} of ${now.ranks} ranks`
        + `${spare ? `; ${spare} ${spare === 1 ? "rank is" : "ranks are"} spare` : ""}.`;
    }
    if (kind === "end") {
      return now.killed === null ? "The training has finished. No bit of its losses is another than on one rank without deaths."
        : `Rank ${now.killed} dies in step ${now.first + now.steps.length}. The other ranks cannot finish the step, so the job ends.`;
    }
    const [step, loss] = now.steps[finished - 1], bits = loss === data.undisturbed[step] ? "the same bits as" : "other than";
    const again = lives.slice(0, life).some(one => one.steps.some(([other]) => other === step));
    return `Step ${step}${again ? " runs again" : ""}: loss ${loss.toFixed(4)}, ${bits} without deaths.`
      + (now.replicas.includes(step + 1) ? ` Rank 0 keeps a replica of the state after ${step + 1} steps.` : "");
  }

  // The ranks that are there: the grid of dp and pp, then the spare ones.
  function grid(now, kind) {
    const used = now.dp * now.pp, spare = now.ranks - used, across = Math.max(now.dp, 1);
    const width = LEFT + (across + (spare ? 1 : 0)) * (WIDE + GAP) + 30, height = now.pp * (HIGH + GAP) + 18;
    const dead = rank => kind === "end" && rank === now.killed, death = kind === "end" && now.killed !== null;
    const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label":
      `${used} ranks as dp ${now.dp}, pp ${now.pp}${spare ? `, and ${spare} spare` : ""}${death ? `; rank ${now.killed} is dead` : ""}` });
    const small = (x, y, anchor, text) => svg.append(draw("text", { x, y, "text-anchor": anchor, class: "mp-small" }, text));
    for (let pp = 0; pp < now.pp; pp++) small(LEFT - 8, pp * (HIGH + GAP) + 38, "end", `stage ${pp}`);
    for (let dp = 0; dp < now.dp; dp++) small(LEFT + dp * (WIDE + GAP) + WIDE / 2, 12, "middle", `dp ${dp}`);
    for (let rank = 0; rank < now.ranks; rank++) {
      const pp = rank < used ? Math.floor(rank / now.dp) : rank - used, column = rank < used ? rank % now.dp : now.dp;
      const x = LEFT + column * (WIDE + GAP) + (rank < used ? 0 : 20), y = 18 + pp * (HIGH + GAP), trains = rank < used && !dead(rank);
      svg.append(draw("rect", { x, y, width: WIDE, height: HIGH, class: "mp-rank" + (dead(rank) ? " mp-dead" : trains ? "" : " mp-dashed") }),
        draw("text", { x: x + WIDE / 2, y: y + 15, "text-anchor": "middle", class: trains ? "mp-on" : "" }, `rank ${rank}`),
        draw("text", { x: x + WIDE / 2, y: y + 28, "text-anchor": "middle", class: trains ? "mp-on mp-tiny" : "mp-small" },
          dead(rank) ? "✗ dead" : trains ? "trains" : "spare"));
    }
    return svg;
  }

  // Rows are lives, columns are steps of the training.
  function chart(life, kind, finished) {
    const wide = Math.max(picture.clientWidth || 700, LEFT + RIGHT + 24 * data.steps), unit = (wide - LEFT - RIGHT) / data.steps;
    const height = TOP + lives.length * ROW + 2, x = step => LEFT + step * unit;
    const label = lives.slice(0, life + 1).map((one, number) =>
      `life ${number}: steps from ${one.first}, ${number < life ? one.steps.length : finished} finished`).join("; ");
    const svg = draw("svg", { width: wide, height, viewBox: `0 0 ${wide} ${height}`, role: "img", "aria-label": label });
    svg.append(draw("defs", {}, draw("pattern", { id: "mp-again", width: 6, height: 6, patternUnits: "userSpaceOnUse",
      patternTransform: "rotate(45)" }, draw("rect", { width: 6, height: 6, class: "mp-B" }),
      draw("line", { x1: 0, y1: 0, x2: 0, y2: 6, class: "mp-hatch-B" }))));
    for (let step = 0; step < data.steps; step++) {
      svg.append(draw("text", { x: x(step + .5), y: 14, "text-anchor": "middle", class: "mp-small" }, String(step)));
    }
    lives.slice(0, life + 1).forEach((one, number) => {
      const y = TOP + number * ROW, last = number < life ? one.steps.length : finished, replicas = [];
      const earlier = new Set(lives.slice(0, number).flatMap(other => other.steps.map(([step]) => step)));
      svg.append(draw("text", { x: LEFT - 8, y: y + 19, "text-anchor": "end" }, `life ${number}`));
      for (const [i, [step]] of one.steps.slice(0, last).entries()) {
        const again = earlier.has(step), now = number === life && kind === "step" && i === last - 1;
        svg.append(draw("g", { class: now ? "mp-bar mp-now" : "mp-bar" }, draw("title", {}, `step ${step}${again ? ", again" : ""}`),
          draw("rect", { x: x(step), y, width: unit - 2, height: 26, ...(again ? { fill: "url(#mp-again)" } : { class: "mp-F" }) }),
          draw("text", { x: x(step + .5) - 1, y: y + 18, "text-anchor": "middle", class: "mp-on" }, String(step))));
        if (one.replicas.includes(step + 1)) replicas.push(draw("circle", { cx: x(step + 1) - 1, cy: y + 13, r: 5, class: "mp-dot" }));
      }
      svg.append(...replicas);
      if (one.killed !== null && (number < life || kind === "end")) {
        svg.append(draw("text", { x: x(one.first + one.steps.length + .5), y: y + 19, "text-anchor": "middle", class: "mp-cross" },
          `✗ ${one.killed}`));
      }
    });
    return svg;
  }

  function legend() {
    const sample = (...parts) => draw("svg", { width: 20, height: 14, "aria-hidden": "true" }, ...parts);
    return make("p", { class: "mp-legend" }, "Above: the ranks of this life. Below: a row is a life, a column is a step of the training.   ",
      sample(draw("rect", { width: 20, height: 14, fill: "url(#mp-again)" })), " a step that runs a second time   ",
      sample(draw("circle", { cx: 10, cy: 7, r: 5, class: "mp-dot" })), " a replica is kept   ✗ the rank that dies in this step. "
      + "Arrow keys step.");
  }
});
