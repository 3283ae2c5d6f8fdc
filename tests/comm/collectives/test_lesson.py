"""The lesson on collectives and the benchmark run as a reader runs them; the lesson stops where a claim is
wrong.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.ranks import ROOT, mpirun

LESSON = ROOT / "lessons" / "collectives.py"


def alone(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    line = [sys.executable, "-W", "error", str(script), str(folder)]
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)


def pictures(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.stat().st_size > 10_000)


def test_on_threads(tmp_path: Path) -> None:
    done = alone(LESSON, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "deadlock" in done.stdout and "collectives_ring.png" in pictures(tmp_path)


def test_under_mpirun(tmp_path: Path) -> None:
    """On three ranks, no power of two."""
    done = mpirun(3, [sys.executable, "-W", "error", str(LESSON), str(tmp_path)], limit=120)
    assert done.returncode == 0, done.stdout
    assert "collectives_ring.png" in pictures(tmp_path)


def test_a_wrong_claim_stops_the_lesson(tmp_path: Path) -> None:
    text = LESSON.read_text(encoding="utf-8")
    claim = "== [chunk == rank for chunk in range(p)]"
    assert text.count(claim) == 1
    wrong = tmp_path / "collectives.py"
    wrong.write_text(text.replace(claim, claim.replace("chunk == rank", "chunk == rank + 1")),
                     encoding="utf-8")
    done = alone(wrong, tmp_path)
    assert done.returncode == 1 and "half-way, rank r has chunk r complete" in done.stderr


def test_the_benchmark_prints_its_table() -> None:
    done = mpirun(2, [sys.executable, "-W", "error", str(ROOT / "benchmarks" / "collectives.py"), "64",
                      "4096"], limit=120)
    lines = [line.split() for line in done.stdout.splitlines()]
    # an MPI library may say things of its own between
    rows = [words for words in lines if words[1:2] in (["B"], ["KiB"])]
    assert done.returncode == 0 and "float32, 2 ranks" in done.stdout, done.stdout
    assert [words[:2] for words in rows] == [["64", "B"], ["4", "KiB"]]
    assert all(float(figure) > 0 for words in rows for figure in words[5:])
