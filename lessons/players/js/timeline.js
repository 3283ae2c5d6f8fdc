// The timeline player: what eight ranks compute and send in one training step, as executed.
"use strict";
minipar.player("timeline", function (box, data) {
  const { make, draw, slider, bytes } = minipar;
  const ROW = 24, GAP = 14, RIGHT = 10, TOP = 4, AXES = [...new Set(data.messages.map(one => one[5]))].sort();
  const LOOKS = { tp: "0", dp: "6 3", pp: "2 3", tied: "10 3 2 3" };
  const ranks = data.layout.dp * data.layout.tp * data.layout.pp;
  const end = Math.max(...data.messages.map(one => one[3]), ...data.computing.map(one => one[2]));
  const zoom = slider("zoom", 1, 12, 1, redraw), wanted = AXES.map(axis => minipar.box(`messages of ${axis}`, redraw));
  const result = make("p", { class: "mp-result" }), picture = make("div", { class: "mp-scroll" });
  const moments = [...new Set([0, ...data.messages.flatMap(one => [one[2], one[3]]), ...data.computing.flatMap(one => [one[1], one[2]])])]
    .sort((a, b) => a - b);
  const steps = minipar.steps(box, show);
  let marks, left = 168;                          // room for the names of ranks; less on a phone
  wanted.forEach(one => { one.input.checked = true; });
  box.append(make("div", { class: "mp-fields" }, zoom.element, ...wanted.map(one => one.element)), result, picture,
             steps.bar, steps.said, legend());
  new ResizeObserver(() => { if (picture.clientWidth) redraw(); }).observe(box);
  redraw();
  steps.restart(moments.length - 1);

  function shownMessages() { return data.messages.filter(one => wanted[AXES.indexOf(one[5])].value); }

  function redraw() {
    const narrow = picture.clientWidth < 520;
    left = narrow ? 56 : 168;
    const wide = left + RIGHT + Math.max(300, (picture.clientWidth || 800) - left - RIGHT) * zoom.value;
    const unit = (wide - left - RIGHT) / end, height = TOP + ranks * (ROW + GAP) + 18, y = rank => TOP + rank * (ROW + GAP);
    const svg = draw("svg", { width: wide, height, viewBox: `0 0 ${wide} ${height}`, role: "img",
      "aria-label": `${ranks} ranks over ${micro(end)}: bars are computation, lines are messages` });
    marks = { boxes: [], lines: [], unit };
    const { dp, tp } = data.layout;
    for (let rank = 0; rank < ranks; rank++) {
      svg.append(draw("text", { x: left - 8, y: y(rank) + 17, "text-anchor": "end" },
        narrow ? `rank ${rank}` : `rank ${rank} (dp ${Math.floor(rank / tp) % dp} tp ${rank % tp} pp ${Math.floor(rank / tp / dp)})`));
      svg.append(draw("line", { x1: left, x2: wide - RIGHT, y1: y(rank) + ROW / 2, y2: y(rank) + ROW / 2, class: "mp-base" }));
    }
    for (const [rank, begin, stop, label] of data.computing) {
      const width = (stop - begin) * unit, group = draw("g", { class: "mp-bar" }, draw("title", {}, `rank ${rank} computes ${label}, ${micro(stop - begin)}`),
        draw("rect", { x: left + begin * unit, y: y(rank), width: Math.max(1, width), height: ROW, class: `mp-${label[0]}` }),
        draw("text", { x: left + (begin + stop) / 2 * unit, y: y(rank) + 17, "text-anchor": "middle", class: "mp-on" },
          width > 20 ? label.split("@")[0] : ""));
      marks.boxes.push([group, begin, stop]);
      svg.append(group);
    }
    for (const message of shownMessages()) {
      const [from, to, begin, stop, label, axis, size] = message, down = to > from;
      const line = draw("line", { x1: left + begin * unit, y1: y(from) + (down ? ROW : 0), x2: left + stop * unit,
        y2: y(to) + (down ? 0 : ROW), class: `mp-axis-${axis}`, "stroke-dasharray": LOOKS[axis] },
        draw("title", {}, `${axis}: ${label}, ${bytes(size)} from rank ${from} to ${to}`));
      marks.lines.push([line, message]);
      svg.append(line);
    }
    marks.cursor = draw("line", { class: "mp-cursor", y1: 0, y2: height - 14 });
    svg.append(marks.cursor, draw("text", { x: left, y: height - 2, class: "mp-small" }, "0"),
      draw("text", { x: wide - RIGHT, y: height - 2, class: "mp-small", "text-anchor": "end" }, micro(end)));
    picture.replaceChildren(svg);
    result.replaceChildren(make("strong", { "data-value": "messages" }, String(marks.lines.length)), " messages, ",
      make("strong", { "data-value": "bytes" }, bytes(shownMessages().reduce((sum, one) => sum + one[6], 0))),
      "; the step takes ", make("strong", { "data-value": "time" }, micro(end)));
    if (steps.last) steps.go(steps.step);
  }

  function micro(time) { return `${+(time / 1000).toPrecision(5)} µs`; }

  function show(step) {
    const now = moments[step], last = step === moments.length - 1;
    for (const [group, begin, stop] of marks.boxes) {
      group.classList.toggle("mp-future", !last && begin > now);
      group.classList.toggle("mp-now", begin <= now && now < stop);
    }
    for (const [line, [, , begin, stop]] of marks.lines) {
      line.classList.toggle("mp-future", !last && begin > now);
      line.classList.toggle("mp-thick", begin <= now && now < stop);
    }
    const x = left + now * marks.unit;
    marks.cursor.setAttribute("x1", x);
    marks.cursor.setAttribute("x2", x);
    if (zoom.value > 1) picture.scrollLeft = x - picture.clientWidth / 2;
    const computing = data.computing.filter(([, begin, stop]) => begin <= now && now < stop);
    const flying = new Map();
    for (const [, [from, to, begin, stop, label, axis]] of marks.lines) {
      if (begin <= now && now < stop) flying.set(`${axis}, ${label}`, [...(flying.get(`${axis}, ${label}`) || []), `${from} to ${to}`]);
    }
    return `At ${micro(now)}: ` + (computing.map(([rank, , , label]) => `rank ${rank} computes ${label.split("@")[0]}`).join(", ") || "nobody computes")
      + "; " + ([...flying].map(([what, pairs]) => `in flight for ${what}: ${pairs.join(", ")}`).join("; ") || "nothing is in flight") + ".";
  }

  function legend() {
    const sample = axis => draw("svg", { width: 34, height: 12, "aria-hidden": "true" },
      draw("line", { x1: 0, x2: 34, y1: 6, y2: 6, class: `mp-axis-${axis}`, "stroke-dasharray": LOOKS[axis] }));
    return make("p", { class: "mp-legend" }, ...AXES.flatMap(axis => [sample(axis), ` ${axis}   `]),
      "Bars: F forward, B backward. Lines run from the start of sending until the receiver takes the message. Arrow keys step.");
  }
});
