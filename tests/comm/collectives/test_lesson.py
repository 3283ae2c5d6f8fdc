"""The lesson on collectives under mpirun, and the benchmark, as a reader runs them.
tests/lessons/test_lessons.py runs this lesson on threads, and changes a claim of it.
"""

import sys
from pathlib import Path

from tests.ranks import ROOT, mpirun

LESSON = ROOT / "lessons" / "collectives.py"


def pictures(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.stat().st_size > 10_000)


def test_under_mpirun(tmp_path: Path) -> None:
    """On three ranks, no power of two."""
    done = mpirun(3, [sys.executable, "-W", "error", str(LESSON), str(tmp_path)], limit=120)
    assert done.returncode == 0 and "deadlock" in done.stdout, done.stdout
    assert "collectives_ring.png" in pictures(tmp_path)


def test_the_benchmark_prints_its_table() -> None:
    done = mpirun(2, [sys.executable, "-W", "error", str(ROOT / "benchmarks" / "collectives.py"), "64",
                      "4096"], limit=120)
    lines = [line.split() for line in done.stdout.splitlines()]
    # an MPI library may say things of its own between
    rows = [words for words in lines if words[1:2] in (["B"], ["KiB"])]
    assert done.returncode == 0 and "float32, 2 ranks" in done.stdout, done.stdout
    assert [words[:2] for words in rows] == [["64", "B"], ["4", "KiB"]]
    assert all(float(figure) > 0 for words in rows for figure in words[5:])
