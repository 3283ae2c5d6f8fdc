"""Converts a lesson to slides for a projector, in one HTML file that needs no network.

A slide shows prose, or the code of one cell. The class can first predict the output of the code. Then the
teacher presses a key, and the slide shows the output.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from minipar.classroom.cells import LessonFile
from minipar.errors import ConfigError

PICTURE = re.compile(r"^picture: (.*\.png)$", re.MULTILINE)     # the line that Lesson.picture prints
# Font sizes are in vh, percent of the screen's height, so letters are large in any resolution.
STYLE = """
body { margin: 0; font: 4vh/1.35 system-ui, sans-serif; color: #1a1a1a; background: #fff }
section { display: none; box-sizing: border-box; max-width: 96vw; margin: 0 auto; padding: 2vh 0 6vh }
section.now { display: block }
h1 { font-size: 1.4em; margin: .4em 0 }
h2 { font-size: 1.25em; margin: .4em 0; color: #00517d }
p, ul, ol { max-width: 46em; margin: .6em 0 }
p.question { font-weight: bold; white-space: pre-line }
pre { font: .85em/1.25 ui-monospace, Menlo, Consolas, monospace; background: #f3f3f0 }
pre { margin: .5em 0; padding: .4em .6em; overflow-x: auto }
pre.out { background: #fff; border-left: .3rem solid #0072b2 }
.hidden { visibility: hidden }
img { display: block; max-width: 100%; max-height: 88vh }
table { border-collapse: collapse }
td, th { padding: .2em .8em }
footer { position: fixed; bottom: .4rem; right: 1rem; font-size: 2.2vh; color: #666 }
@media (prefers-color-scheme: dark) {
  body { color: #e8e8e8; background: #16181c }
  pre { background: #23262c }
  pre.out { background: #16181c }
  h2 { color: #7cc4f0 }
}
@media print {
  section { display: block; page-break-after: always }
  .hidden { visibility: visible }
  footer { display: none }
}
"""
# A slide has the largest font with which it fits the screen. If no font is small enough, a key scrolls.
SCRIPT = """
const LARGEST = 4, SMALLEST = 2.6;                  // font size of prose, in percent of the screen's height
const slides = [...document.querySelectorAll("section")], number = document.querySelector("footer span");
let now = Math.min(parseInt(location.hash.slice(1)) || 0, slides.length - 1);
function fit(slide) {
  const answer = slide.querySelector(".hidden");
  const height = () => answer ? answer.offsetTop - slide.offsetTop + .06 * innerHeight : slide.scrollHeight;
  const shown = [...slide.querySelectorAll("pre")].filter(one => !one.closest(".hidden"));
  const wide = () => shown.some(one => one.scrollWidth > one.clientWidth);
  for (let size = LARGEST; size >= SMALLEST - .01; size -= .1) {
    slide.style.fontSize = size + "vh";
    if (height() <= innerHeight && !wide()) return;
  }
}
function show(slide) {
  now = Math.max(0, Math.min(slide, slides.length - 1));
  slides.forEach((one, at) => one.classList.toggle("now", at === now));
  fit(slides[now]);
  number.textContent = `${now + 1} / ${slides.length}`;
  history.replaceState(null, "", "#" + now);
  window.scrollTo(0, 0);
}
function forward() {
  const hidden = slides[now].querySelector(".hidden");
  const below = (hidden || slides[now]).getBoundingClientRect()[hidden ? "top" : "bottom"] - innerHeight;
  if (below > (hidden ? -.25 * innerHeight : 2)) {
    const before = scrollY;
    window.scrollBy(0, .7 * innerHeight);
    if (scrollY > before) return;
  }
  if (!hidden) return show(now + 1);
  hidden.classList.remove("hidden");
  fit(slides[now]);                                 // with the answer, the slide may need smaller letters
}
function back() { if (scrollY > 2) window.scrollBy(0, -.7 * innerHeight); else show(now - 1); }
document.addEventListener("keydown", event => {
  if (["ArrowRight", " ", "PageDown", "Enter"].includes(event.key)) forward();
  else if (["ArrowLeft", "PageUp", "Backspace"].includes(event.key)) back();
  else if (event.key === "Home") show(0);
  else if (event.key === "End") show(slides.length - 1);
  else return;
  event.preventDefault();
});
document.querySelector("#forward").addEventListener("click", forward);
document.querySelector("#back").addEventListener("click", back);
addEventListener("resize", () => fit(slides[now]));
addEventListener("load", () => fit(slides[now]));   // pictures have their sizes now
show(now);
"""


def slides(lesson: LessonFile) -> str:
    """Run the lesson, and return its slides as HTML.

    Raises the errors of the lesson, and ConfigError if the package markdown-it-py is not installed.
    """
    body = "\n".join(f"<section>{slide}</section>" for slide in _slides(lesson, _markdown()))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(lesson.name)}</title>
<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>
<body>
{body}
<footer><button id="back" aria-label="back">&larr;</button> <span></span>
<button id="forward" aria-label="forward">&rarr;</button></footer>
<script>{SCRIPT}</script></body></html>
"""


def _markdown() -> Callable[[str], str]:
    try:
        from markdown_it import MarkdownIt
    except ImportError:
        raise ConfigError("slides need the package markdown-it-py: pip install markdown-it-py") from None
    render: Callable[[str], str] = MarkdownIt("commonmark", {"html": False}).enable("table").render
    return render


def _slides(lesson: LessonFile, rendered: Callable[[str], str]) -> Iterator[str]:
    names: dict[str, Any] = {"__name__": "__main__", "__file__": str(lesson.path)}
    for section in lesson.sections:
        for cell in section.cells:
            if cell.kind == "prose":
                yield from (rendered(part) for part in re.split(r"\n(?=## )", cell.text))
                continue
            with redirect_stdout(io.StringIO()) as said:
                exec(lesson.compiled(cell), names)
            first, *others = cell.pieces
            yield f"<pre>{html.escape(first)}</pre>{_output(said.getvalue(), others)}"


def _output(text: str, code: Sequence[str]) -> str:
    """Return the output of a cell as HTML, or "" if there is none. A question is shown at once. Its answer
    and the code after it are shown after a key is pressed. text: the output. code: the pieces of the cell
    after the first question.
    """
    pictures = "".join(_embedded(Path(path)) for path in PICTURE.findall(text))
    words = PICTURE.sub("", text).strip("\n")
    question = re.match(r"Predict: .*(?:\n(?!  answer:).+)*", words)
    asked = f'<p class="question">{html.escape(question[0])}</p>' if question else ""
    rest = words[question.end():].strip("\n") if question else words
    shown = "".join(f"<pre>{html.escape(piece)}</pre>" for piece in code)
    shown += f'<pre class="out">{html.escape(rest)}</pre>' * bool(rest) + pictures
    return asked + f'<div class="hidden">{shown}</div>' * bool(shown)


def _embedded(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="picture {html.escape(path.stem)}" src="data:image/png;base64,{data}">'
