// What all players share: elements, sliders, steps, and the start of every player on a page.
// A player is one file: minipar.player("name", function (box, data) { ... }). box: where it draws. data: what was
// recorded for it (minipar.data), or undefined.
"use strict";
const minipar = {
  players: {},
  data: {},
  player(name, start) { minipar.players[name] = start; },

  // An element of HTML: make("p", { class: "note" }, "text", child, ...)
  make(name, attributes, ...children) { return fill(document.createElement(name), attributes, children); },

  // An element of SVG.
  draw(name, attributes, ...children) {
    return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
  },

  // A slider for whole numbers, with its label and its value. Returns an object with `value` and `element`.
  slider(label, from, to, value, changed) {
    const shown = minipar.make("output", {}, String(value));
    const input = minipar.make("input", { type: "range", min: from, max: to, step: 1, value, "aria-label": label });
    input.addEventListener("input", () => { shown.textContent = input.value; changed(); });
    const element = minipar.make("label", { class: "mp-field" }, minipar.make("span", {}, label, " ", shown), input);
    return {
      element, input,
      get value() { return Number(input.value); },
      set value(number) { input.value = number; shown.textContent = input.value; },
    };
  },

  // A choice among names: [[value, text], ...]. Returns an object with `value` and `element`.
  choice(label, options, changed) {
    const select = minipar.make("select", { "aria-label": label },
      ...options.map(([value, text]) => minipar.make("option", { value }, text)));
    select.addEventListener("change", changed);
    return {
      element: minipar.make("label", { class: "mp-field" }, minipar.make("span", {}, label), select), select,
      get value() { return select.value; },
      set value(name) { select.value = name; },
      // Other options, the same choice where it is still there.
      offer(others) {
        const before = select.value;
        select.replaceChildren(...others.map(([value, text]) => minipar.make("option", { value }, text)));
        if (others.some(([value]) => value === before)) select.value = before;
      },
    };
  },

  box(label, changed) {
    const input = minipar.make("input", { type: "checkbox", "aria-label": label });
    input.addEventListener("change", changed);
    return { element: minipar.make("label", { class: "mp-field mp-box" }, input, " ", label), input,
             get value() { return input.checked; }, set value(on) { input.checked = on; } };
  },

  // Buttons to step through a run, which the arrow keys, Home and End move, too.
  // show(step) draws a step and returns a sentence about it, which a screen reader reads.
  // The returned object has `step`, and `restart(last, step)`: there are now the steps 0 to last.
  steps(box, show) {
    const said = minipar.make("p", { class: "mp-said", role: "status", "aria-live": "polite" });
    const counter = minipar.make("span", { class: "mp-counter" });
    const state = { step: 0, last: 0, go, restart };
    const buttons = [["first", "|◀", () => 0], ["back", "◀", () => state.step - 1],
                     ["forward", "▶", () => state.step + 1], ["last", "▶|", () => state.last]];
    const bar = minipar.make("div", { class: "mp-steps", role: "group", "aria-label": "steps" });
    for (const [name, sign, target] of buttons) {
      const button = minipar.make("button", { type: "button", "aria-label": name + " step", title: name }, sign);
      button.addEventListener("click", () => go(target()));
      bar.append(button);
    }
    bar.append(counter);
    box.tabIndex = 0;
    box.addEventListener("keydown", event => {
      if (event.target.matches("input, select, textarea")) return;
      const keys = { ArrowRight: state.step + 1, ArrowLeft: state.step - 1, Home: 0, End: state.last };
      if (!(event.key in keys) || event.altKey || event.ctrlKey || event.metaKey) return;
      go(keys[event.key]);
      event.preventDefault();
      event.stopPropagation();
    });
    function go(step) {
      state.step = Math.max(0, Math.min(step, state.last));
      said.textContent = show(state.step);
      counter.textContent = `step ${state.step} of ${state.last}`;
    }
    function restart(last, step) {
      state.last = last;
      go(step === undefined ? last : step);
    }
    return Object.assign(state, { bar, said });
  },

  // "3/11 = 27.3 %": a fraction of two whole numbers, in lowest terms.
  fraction(above, below) {
    if (!below) return "0";
    const by = gcd(above, below);
    const [a, b] = [above / by, below / by];
    return b === 1 ? String(a) : `${a}/${b}`;
  },

  bytes(number) {
    const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    while (number >= 1024 && unit < units.length - 1) { number /= 1024; unit += 1; }
    return `${unit ? Number(number.toPrecision(4)) : number} ${units[unit]}`;
  },

  colours: ["var(--mp-0)", "var(--mp-1)", "var(--mp-2)", "var(--mp-3)", "var(--mp-4)", "var(--mp-5)", "var(--mp-6)",
            "var(--mp-7)"],

  // Start every player on the page: <figure class="mp-player" data-player="schedule">. What stands in it, for readers
  // without JavaScript, is folded away.
  start(page) {
    for (const figure of page.querySelectorAll("figure.mp-player:not([data-started])")) {
      const name = figure.dataset.player, box = minipar.make("div", { class: "mp-stage" });
      if (!(name in minipar.players)) continue;
      figure.dataset.started = "yes";
      const plain = figure.querySelector(".mp-plain");
      if (plain) {
        const folded = minipar.make("details", { class: "mp-folded" }, minipar.make("summary", {}, "The same as text"));
        plain.replaceWith(folded);
        folded.append(plain);
        folded.before(box);
      } else {
        figure.append(box);
      }
      minipar.players[name](box, minipar.data[name]);
    }
  },
};

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function gcd(a, b) { return b ? gcd(b, a % b) : Math.abs(a); }

document.addEventListener("DOMContentLoaded", () => minipar.start(document));
