"""Running lessons: whole, as readers do; changed, or a few cells of them, in a process that has imported all
before.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.ranks import ROOT

# Collectives has no number of its own: it belongs before lesson 13.
LESSONS = sorted((path.stem for path in (ROOT / "lessons").glob("*.py") if path.stem != "__init__"),
                 key=lambda name: "12_last" if name == "collectives" else name)


def script_of(lesson: str) -> Path:
    return ROOT / "lessons" / f"{lesson}.py"


def source_of(lesson: str) -> str:
    return script_of(lesson).read_text(encoding="utf-8")


def alone(lesson: str) -> bool:
    """Whether the lesson runs in one process."""
    return re.search(r"^lesson = Lesson\(\"[^\"]*\", ranks=1\)", source_of(lesson), re.MULTILINE) is not None


def command(script: Path, folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-W", "error", str(script), *options, str(folder)]


def on_threads(script: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(script, folder, *options), capture_output=True, text=True, check=False,
                          timeout=120)


def changed(lesson: str, old: str, new: str, folder: Path) -> Path:
    """A copy of the lesson with one thing changed."""
    source = source_of(lesson)
    assert source.count(old) == 1, f"lesson {lesson} should contain {old!r} once"
    copy = folder / f"{lesson}.py"
    copy.write_text(source.replace(old, new), encoding="utf-8")
    return copy


# Lesson -> a text of the cell after which a solution goes, where that is not the exercise's own.
AFTER = {
    "13_data_parallel": "bucket_ms = ",
}
TIMED = """# %%
from time import process_time as _now
_began = _now()
{}
print(f"solution: {{_now() - _began}} s")
"""


WATCHED = "from tests.plots.legible import watch as _watch\n_watch()\n"


def with_solution(lesson: str, folder: Path) -> Path:
    """Return a copy of the lesson that also writes to stderr what is hard to read in its pictures. If
    solutions/LESSON.py solves its exercise, it is a cell of the copy.
    """
    source, solution = source_of(lesson), Path(__file__).parent / "solutions" / f"{lesson}.py"
    if solution.exists():
        cells = re.split(r"(?=^# %%)", source, flags=re.MULTILINE)
        wanted = AFTER.get(lesson, "**Exercise")
        (number,) = [number for number, cell in enumerate(cells) if wanted in cell]
        cells.insert(number + 1, TIMED.format(solution.read_text(encoding="utf-8")))
        source = "".join(cells)
    copy = folder / f"{lesson}.py"
    copy.write_text(WATCHED + source, encoding="utf-8")
    return copy


def seconds_of_solution(printed: str) -> float:
    """What the solution took of the processor, by what a lesson `with_solution` printed."""
    return sum(map(float, re.findall(r"^solution: ([\d.e-]+) s$", printed, re.MULTILINE)))
