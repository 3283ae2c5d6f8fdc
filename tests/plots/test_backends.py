"""No value of MPLBACKEND changes a picture, for any command that draws. A picture that fails costs nothing
else.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.forks import forked, forked_command
from tests.tiny import options

JUPYTER = "module://matplotlib_inline.backend_inline"
SCHEDULE = ["schedule", "show", "naive", "--ranks", "1", "--micro-batches", "1", "--out", "shown.png"]


@pytest.mark.parametrize("value", ["", "module://", "a" * 5000, "TkAgg"])
def test_any_value_draws(value: str, tmp_path: Path) -> None:
    done = forked_command(*SCHEDULE, environ={"MPLBACKEND": value}, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "" and (tmp_path / "shown.png").stat().st_size > 1000


@pytest.mark.parametrize("words, pictures", [
    ("train --trace --out OUT/run", {"run/loss.png", "run/trace/timeline.png", "run/trace/memory.png"}),
    ("trace --out OUT", {"timeline.png", "memory.png"}),
])
def test_every_command_draws(words: str, pictures: set[str], tmp_path: Path) -> None:
    name, *more = words.replace("OUT", str(tmp_path)).split()
    done = forked_command(name, *options(tmp_path, steps=1), *more, environ={"MPLBACKEND": JUPYTER})
    assert done.returncode == 0 and "no picture" not in done.stderr
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")} == pictures


def test_a_lesson_draws(tmp_path: Path) -> None:
    done = forked_command(
        "lesson", "run", "4", "--fast", "--out", tmp_path, environ={"MPLBACKEND": "nonsense"}
    )
    assert done.returncode == 0 and done.stderr == "" and (tmp_path / "04_memory_ledger.png").exists()


def test_a_figure_that_cannot_be_drawn_is_told_on_stderr(tmp_path: Path) -> None:
    """A notebook then shows nothing in its place, and otherwise the picture, even one that cannot be saved.
    """
    script = tmp_path / "drawing.py"
    script.write_text("""
import sys
from types import SimpleNamespace
from minipar.lessons.plots.mesh import Figure
from minipar.lessons.support.lesson import Lesson
lesson = Lesson("drawing", ranks=1)
lesson.picture(Figure())
display = SimpleNamespace(Image=lambda png: png[:4], display=print)
sys.modules["IPython"] = SimpleNamespace(get_ipython=lambda: True, display=display)
for figure, name in (Figure(), "_shown"), (None, "_none"), (Figure(), "/no/such/folder"):
    lesson.picture(figure, name)
""")
    done = forked(script, tmp_path)
    assert done.returncode == 0, done.stderr
    png = r"b'\x89PNG'"
    assert done.stdout.split("\n") == [f"picture: {tmp_path}/drawing.png", "", png,
                                       f"picture: {tmp_path}/drawing_shown.png", "", png, ""]
    said = done.stderr.splitlines()
    assert (
        len(said) == 2
        and "no picture drawing_none.png: AttributeError" in said[0]
        and "No such file" in said[1]
    )
