// The wait graph player: five recorded deadlocks, one call at a time, beside the program's lines.
"use strict";
minipar.player("waits", function (box, data) {
  const { make, draw, choice, colours } = minipar;
  const program = choice("program", Object.keys(data).map(name => [name, name]), restart);
  const about = make("p", { class: "mp-result" }), picture = make("div", {}), code = make("pre", { class: "mp-code", tabindex: 0, "aria-label": "the program" });
  const message = make("p", { class: "mp-message-text", "data-value": "message" });
  const steps = minipar.steps(box, show);
  box.append(make("div", { class: "mp-fields" }, program.element), about, make("div", { class: "mp-two" }, picture, code),
             steps.bar, steps.said, message);
  restart();

  function restart() {
    about.textContent = data[program.value].about;
    steps.restart(data[program.value].steps.length + 1, 0);
  }

  // Of each rank after a number of steps: [call, line, peer] of the last one, undefined before its first.
  function states(run, step) {
    const found = Array(run.ranks).fill(undefined);
    for (const [rank, call, line, peer] of run.steps.slice(0, step)) found[rank] = { call, line, peer };
    return found;
  }

  function show(step) {
    const run = data[program.value], last = step > run.steps.length, now = states(run, step);
    const moved = step && !last ? run.steps[step - 1][0] : -1;
    picture.replaceChildren(graph(run, now, moved, last ? cycle(now) : []));
    code.replaceChildren(...listed(run, now));
    message.textContent = last ? `minipar: ${run.message.replaceAll("->", "-\u2060>")}` : "";
    if (!step) return "Start: no rank has called anything.";
    if (last) return "No rank can continue. minipar ends the program with this message:";
    return `Step ${step}: rank ${moved} ${doing(now[moved])}.`;
  }

  function doing(state) {
    if (!state) return "computes";
    if (!state.call) return "has finished";
    const place = `${state.call} in line ${state.line}`;
    return state.peer === null ? `completes ${place}` : `waits for rank ${state.peer} in ${place}`;
  }

  // The ranks on a cycle of waiting, [] if there is none.
  function cycle(now) {
    for (let start = 0; start < now.length; start++) {
      const path = [];
      let rank = start;
      while (rank !== null && !path.includes(rank)) { path.push(rank); rank = now[rank] ? now[rank].peer : null; }
      if (rank === start) return path;
    }
    return [];
  }

  function graph(run, now, moved, ring) {
    const size = 300, radius = 95, r = 34, at = rank => {
      const angle = 2 * Math.PI * rank / run.ranks - Math.PI / 2 - (run.ranks === 2 ? Math.PI / 2 : 0);
      return [size / 2 + radius * Math.cos(angle), size / 2 + radius * Math.sin(angle)];
    };
    const svg = draw("svg", { width: size, height: size, viewBox: `0 0 ${size} ${size}`, role: "img",
      "aria-label": "wait graph: " + now.map((state, rank) => `rank ${rank} ${doing(state)}`).join("; ") });
    svg.append(draw("defs", {}, draw("marker", { id: "mp-wait", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 12,
      markerHeight: 12, markerUnits: "userSpaceOnUse", orient: "auto" }, draw("path", { d: "M 0 0 L 8 4 L 0 8 z", class: "mp-ink" }))));
    now.forEach((state, rank) => {
      if (!state || state.peer === null) return;
      const [x1, y1] = at(rank), [x2, y2] = at(state.peer), length = Math.hypot(x2 - x1, y2 - y1);
      const [dx, dy] = [(x2 - x1) / length, (y2 - y1) / length], aside = 9;
      svg.append(draw("line", { x1: x1 + dx * r - dy * aside, y1: y1 + dy * r + dx * aside, x2: x2 - dx * (r + 3) - dy * aside,
        y2: y2 - dy * (r + 3) + dx * aside, class: ring.includes(rank) ? "mp-flight mp-ring" : "mp-flight", "marker-end": "url(#mp-wait)" }));
    });
    now.forEach((state, rank) => {
      const [x, y] = at(rank), finished = state && !state.call;
      svg.append(draw("g", {}, draw("circle", { cx: x, cy: y, r, fill: finished ? "var(--mp-field)" : colours[rank],
          class: rank === moved ? "mp-node mp-changed" : "mp-node" }),
        draw("text", { x, y: y - 2, "text-anchor": "middle", class: finished ? "" : "mp-on" }, `rank ${rank}`),
        draw("text", { x, y: y + 13, "text-anchor": "middle", class: finished ? "mp-small" : "mp-on mp-tiny" },
          !state ? "" : finished ? "finished" : state.peer === null ? "goes on" : "waits")));
    });
    return svg;
  }

  function listed(run, now) {
    return run.code.split("\n").map((text, i) => {
      const line = run.first + i, here = now.map((state, rank) => state && state.call && state.line === line ? rank : -1).filter(rank => rank >= 0);
      const badges = here.map(rank => make("span", { class: "mp-badge", style: `background: ${colours[rank]}` },
        `rank ${rank}${now[rank].peer === null ? "" : " waits"}`));
      return make("span", { class: here.length ? "mp-line mp-here" : "mp-line" }, `${String(line).padStart(3)}  ${text} `, ...badges);
    });
  }
});
