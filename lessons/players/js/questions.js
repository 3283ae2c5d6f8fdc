// Questions of a lesson: a prediction is asked for and locked before the answer opens. Predictions stay in this browser.
// What a cell printed has the form "Predict: question", "  - choice" for each choice, "  answer: ...", and the rest.
"use strict";
minipar.questions = function (page) {
  const { make } = minipar, OUTPUT = /^Predict: ([^]*?)\n((?: {2}- .*\n)*) {2}answer: (.*)\n?([^]*)$/;
  const keep = {
    get(key) { try { return localStorage.getItem(key); } catch { return null; } },
    set(key, text) { try { localStorage.setItem(key, text); } catch { /* a browser that keeps nothing */ } },
    drop(key) { try { localStorage.removeItem(key); } catch { /* as above */ } },
  };
  const keys = [];
  for (const printed of page.querySelectorAll(".cell_output .output.stream")) {
    const found = OUTPUT.exec(printed.textContent);
    if (found) ask(printed, found[1].replaceAll("\n", " "), choicesOf(found[2]), found[3], found[4]);
  }
  if (keys.length) forgetting();

  function choicesOf(text) {
    return text.split("\n").filter(line => line).map(line => line.slice(4));
  }

  function ask(printed, question, choices, answer, rest) {
    const key = `minipar ${location.pathname.split("/").pop()} ${question}`, name = `mp-question-${keys.length}`;
    const covered = [...coveredBy(printed), ...reveals(printed)];
    const form = make("form", { class: "mp-question", "data-question": question });
    const said = make("p", { role: "status", "aria-live": "polite", class: "mp-verdict" });
    keys.push(key);
    printed.before(form);
    if (rest.trim()) printed.querySelector("pre").textContent = rest;
    else printed.remove();
    covered.push(...(rest.trim() ? [printed] : []));
    const before = keep.get(key);
    if (before !== null) return open(before, true);
    covered.forEach(one => { one.classList.add("mp-covered"); one.setAttribute("aria-hidden", "true"); });
    const field = choices.length ? radios(name, question, choices) : text(name, question);
    form.append(field, make("div", { class: "mp-steps" }, make("button", { type: "submit" }, "Lock my prediction"),
      skip()), said);
    form.addEventListener("submit", event => {
      event.preventDefault();
      const given = new FormData(form).get(name);
      if (!given || !given.trim()) { said.textContent = "Predict first, or show the answer without a prediction."; return; }
      keep.set(key, given.trim());
      open(given.trim(), true);
    });

    function skip() {
      const button = make("button", { type: "button", class: "mp-plainly" }, "Show without predicting");
      button.addEventListener("click", () => open("", false));
      return button;
    }

    function open(given, locked) {
      const verdict = locked ? minipar.judge(given, answer) : "";
      said.replaceChildren(make("strong", {}, "Answer: "), make("span", { "data-value": "answer" }, answer), locked
        ? ` · you predicted ${given}${verdict === "right" ? ": right" : verdict === "compare" ? "; compare" : `: ${verdict}`}` : "");
      form.replaceChildren(make("p", {}, make("strong", {}, "Predict: "), question), said);
      form.classList.add("mp-opened");
      covered.forEach(one => { one.classList.remove("mp-covered"); one.removeAttribute("aria-hidden"); });
    }
  }

  function text(name, question) {
    return make("label", { class: "mp-field" }, make("span", {}, make("strong", {}, "Predict: "), question),
      make("input", { type: "text", name, autocomplete: "off" }));
  }

  function radios(name, question, choices) {
    return make("fieldset", {}, make("legend", {}, make("strong", {}, "Predict: "), question),
      ...choices.map(choice => make("label", { class: "mp-choice" }, make("input", { type: "radio", name, value: choice }), " ", choice)));
  }

  // What gives the answer away, too: the cell's pictures, and the prose after it, up to the next code or heading.
  function coveredBy(printed) {
    const cell = printed.closest(".cell"), found = [...printed.parentElement.children].filter(one => one !== printed);
    for (let next = cell.nextElementSibling; next && next.matches("p, ul, ol, table, .highlight-none"); next = next.nextElementSibling) found.push(next);
    return found;
  }

  // The cell's code from `lesson.reveal(...)` on, line by line, each wrapped so that it can be covered.
  function reveals(printed) {
    const code = printed.closest(".cell").querySelector(".cell_input pre");
    if (!code) return [];
    let inside = false;
    code.innerHTML = code.innerHTML.split("\n").map(line => {
      const words = make("span", {});
      words.innerHTML = line;
      inside = inside || words.textContent.startsWith("lesson.reveal(");
      return inside ? `<span class="mp-reveal">${line}</span>` : line;
    }).join("\n");
    return [...code.querySelectorAll(".mp-reveal")];
  }

  function forgetting() {
    const button = make("button", { type: "button" }, "Forget my predictions on this page");
    button.addEventListener("click", () => { keys.forEach(keep.drop); location.reload(); });
    page.querySelector("article").append(make("div", { class: "mp-stage mp-forget" }, button));
  }
};

document.addEventListener("DOMContentLoaded", () => minipar.questions(document));
