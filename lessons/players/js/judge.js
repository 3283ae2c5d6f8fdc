// A prediction and the answer: how near is it? As minipar/classroom/predictions.py; a test compares the two.
"use strict";
minipar.judge = (function () {
  const RIGHT = 0.01, LONGEST = 40;
  const UNITS = { "": 1, "%": .01, "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "b": 1, "byte": 1, "bytes": 1,
    "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2 ** 10, "mib": 2 ** 20, "gib": 2 ** 30, "tib": 2 ** 40 };
  const NUMBER = /^([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d{1,3})?)(?:\/(\d{1,18}))?\s*([a-z%]*)$/i;

  // The number that a text is, with its unit, or null: "2 KiB" is 2048, "1/4" is .25.
  function number(text) {
    const found = text.length <= LONGEST ? NUMBER.exec(text.trim().replaceAll(",", "")) : null;
    if (!found || !(found[3].toLowerCase() in UNITS) || Number(found[2] || 1) === 0) return null;
    return Number(found[1]) / Number(found[2] || 1) * UNITS[found[3].toLowerCase()];
  }

  function short(ratio) { return String(Number(ratio.toPrecision(3))); }

  // "right", or how far off. answer: as the lesson shows it, "24.3 ms" or words.
  return function (prediction, answer) {
    const cut = /^(\S+) (\S.*)$/.exec(answer), unit = cut && number(cut[1]) !== null ? cut[2] : "";
    const bare = unit ? cut[1] : answer;
    let right = number(bare);
    const mine = number(prediction);
    if (right !== null && /[a-z%]$/i.test(prediction.trim()) && unit.toLowerCase() in UNITS) right *= UNITS[unit.toLowerCase()];
    if (mine === null || right === null) {
      return [bare, answer].some(words => words.trim().toLowerCase() === prediction.trim().toLowerCase()) ? "right" : "compare";
    }
    if (mine === right || Math.abs(mine - right) <= RIGHT * Math.abs(right)) return "right";
    const ratio = mine / right;
    if (right && mine && (mine > 0) === (right > 0) && Number.isFinite(ratio)) {
      return ratio > 1 ? `${short(ratio)} times the answer` : `the answer divided by ${short(1 / ratio)}`;
    }
    return "not near";
  };
})();
