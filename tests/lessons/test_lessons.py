"""Every lesson runs to its end on threads and under mpirun; what a lesson says to break breaks; its exercises can be solved."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ranks import ROOT, mpirun

LESSONS = sorted(path.stem for path in (ROOT / "lessons").glob("*.py") if path.stem != "common")
PLACES = ["threads", pytest.param(2, marks=pytest.mark.mpi), pytest.param(4, marks=pytest.mark.mpi)]

# lesson -> what the student changes, into what, and the line that stops the lesson
BREAKS = {
    "13_data_parallel": ("clip=0, seed=0)", "clip=0, seed=comm.rank)", "replicas are equal"),
    "14_tensor_parallel": ('copy_to_region(x, comm, "dx")', "x", "y, dW and dx are those of the dense layer"),
}


def command(script: Path, folder: Path) -> list[str]:
    return [sys.executable, "-W", "error", str(script), str(folder)]


def on_threads(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "lessons")}               # for a changed copy elsewhere
    return subprocess.run(command(script, folder), capture_output=True, text=True, check=False, timeout=120, env=environment)


def changed(lesson: str, old: str, new: str, folder: Path) -> Path:
    """A copy of the lesson with one thing changed."""
    source = (ROOT / "lessons" / f"{lesson}.py").read_text(encoding="utf-8")
    assert source.count(old) == 1, f"lesson {lesson} should contain {old!r} once"
    copy = folder / f"{lesson}.py"
    copy.write_text(source.replace(old, new), encoding="utf-8")
    return copy


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_runs_to_its_end(lesson: str, place: str | int, tmp_path: Path) -> None:
    script = ROOT / "lessons" / f"{lesson}.py"
    if isinstance(place, int):
        job = mpirun(place, command(script, tmp_path), limit=120)
    else:
        job = on_threads(script, tmp_path)
    assert job.returncode == 0, job.stdout + str(job.stderr)
    assert "picture: " in job.stdout and all(path.stat().st_size > 10_000 for path in tmp_path.glob("*.png"))
    assert len(list(tmp_path.glob(f"{lesson}*.png"))) >= 1


@pytest.mark.parametrize("lesson", BREAKS)
def test_what_a_lesson_says_to_break_breaks(lesson: str, tmp_path: Path) -> None:
    old, new, stop = BREAKS[lesson]
    job = on_threads(changed(lesson, old, new, tmp_path), tmp_path)
    assert job.returncode == 1 and job.stderr.rstrip().endswith(f"AssertionError: {stop}"), job.stdout + job.stderr


def test_a_lesson_that_fails_under_mpirun_says_so_once(tmp_path: Path) -> None:
    script = tmp_path / "wrong.py"
    script.write_text(f"""
import sys
sys.path.insert(0, '{ROOT}/lessons')
from common import Lesson
lesson = Lesson("wrong")
lesson.say(lesson.run(lambda comm: comm.rank))
assert lesson.size == 2, "planted"
""")
    job = mpirun(3, command(script, tmp_path), limit=60)
    assert job.returncode != 0 and job.stdout.count("AssertionError: planted") == 1 and "[0, 1, 2]" in job.stdout


def test_the_exercise_of_lesson_13_can_be_solved(tmp_path: Path) -> None:
    """Buckets of growing, then of falling size beat the best of the equal ones. Only the cells that it needs are run."""
    cells = (ROOT / "lessons" / "13_data_parallel.py").read_text(encoding="utf-8").split("# %%\n")
    script = tmp_path / "solution.py"
    script.write_text("".join([cells[1], *(cell for cell in cells if "def overlapped" in cell), """
sizes = [ELEMENTS * part // 15 for part in (1, 2, 3, 3, 3, 2, 1)]
assert max(lesson.run(overlapped, sizes)) < 0.99 * bucket_ms[best]
"""]), encoding="utf-8")
    job = on_threads(script, tmp_path)
    assert job.returncode == 0, job.stdout + job.stderr
