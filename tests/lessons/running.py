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
    "15_pipeline_parallel": "def two_stages_each",
    "16_mesh": "def gigabytes",
}
# Lesson -> its stub, and what a solution puts in its place.
IN_PLACE = {
    "14_tensor_parallel": (
        """    counts = shares(vocabulary, comm)
    logits = gather_from_region(part, comm, "logits", counts)
    return cross_entropy(logits, targets)""",
        """    return vocab_parallel_cross_entropy(part, targets, None, comm, own(comm, vocabulary), vocabulary)""",
    ),
    "15_pipeline_parallel": (
        """for micro in range(m) for kind in "FB"
               for stage in ((r, p + r) if kind == "F" else (p + r, r))]""",
        """for kind in "FB"
               for stage in ((r, p + r) if kind == "F" else (p + r, r)) for micro in range(m)]""",
    ),
    "16_mesh": ("start = (1, 64, 1)", "start = (1, 4, 16)"),
}
TIMED = """# %%
from time import process_time as _now
_began = _now()
{}
print(f"solution: {{_now() - _began}} s")
"""


def with_solution(lesson: str, folder: Path) -> Path:
    """The whole lesson with the solution of its exercise (solutions/LESSON.py) as a cell at its place, and in place of a
    stub. The lesson itself where it has neither.
    """
    source, solution = source_of(lesson), Path(__file__).parent / "solutions" / f"{lesson}.py"
    if lesson in IN_PLACE:
        old, new = IN_PLACE[lesson]
        assert source.count(old) == 1, f"lesson {lesson} should contain {old!r} once"
        source = source.replace(old, new)
    if solution.exists():
        cells = re.split(r"(?=^# %%)", source, flags=re.MULTILINE)
        wanted = AFTER.get(lesson, "**Exercise")
        (number,) = [number for number, cell in enumerate(cells) if wanted in cell]
        cells.insert(number + 1, TIMED.format(solution.read_text(encoding="utf-8")))
        source = "".join(cells)
    copy = folder / f"{lesson}.py"
    copy.write_text(source, encoding="utf-8")
    return copy


def seconds_of_solution(printed: str) -> float:
    """What the solution took of the processor, by what a lesson `with_solution` printed."""
    return sum(map(float, re.findall(r"^solution: ([\d.e-]+) s$", printed, re.MULTILINE)))
