"""The time that a student waits for the lights:    python benchmarks/exercises.py [NAME ...]

Each figure is a median of three, in seconds, with the solution as the submission, as a process started from a
shell:

    first light     from the start of `minipar exercise check` to the line of the first light
    threads         to the last of the five lights, on threads
    whole check     to the end, with mpirun on 1 to 5 ranks
    after a save    `minipar exercise watch --threads`: from a save to the last light
    CPU             of the whole check, all its processes together

The aims, on 2 idle cores: 1 s, 2 s, 6 s, 2 s.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from minipar.exercises.catalogue import find
from minipar.exercises.workplace import start

NAMES = ("ring_shift", "ring_reduce_scatter", "f_and_g")
ROUNDS = 3
LAST = "no deadlock"


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "minipar", "exercise", *words]


def check(name: str, folder: Path) -> tuple[float, float, float, float]:
    """Seconds to the first light, to the last one on threads, to the end; CPU seconds."""
    before, began, lights = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), []
    with subprocess.Popen(command("check", name), cwd=folder, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line[:5].strip() in ("on", "OFF", "-", "."):
                lights.append(time.perf_counter() - began)
    whole = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return lights[0], lights[4], whole, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def save(name: str, folder: Path) -> float:
    """Seconds from a save to the last light of `watch`."""
    path = folder / "exercises" / name / f"{name}.py"
    good = path.read_text()
    path.write_text(find(name).text("stub.py"))
    with subprocess.Popen(
        command("watch", name, "--threads"), cwd=folder, text=True, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("watching"):
                break
        time.sleep(0.5)
        began = time.perf_counter()
        path.write_text(good)
        for line in process.stdout:
            if LAST in line:
                return time.perf_counter() - began
    raise SystemExit(f"{name}: watch has shown no lights")


def main(names: list[str]) -> None:
    print(f"{'seconds':24}first light  threads  whole check  after a save  CPU")
    for name in names:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            start(find(name), folder / "exercises")
            (folder / "exercises" / name / f"{name}.py").write_text(find(name).text("solution.py"))
            rows = [(*check(name, folder), save(name, folder)) for _ in range(ROUNDS)]
        first, threads, whole, cpu, saved = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name:24}{first:11.1f}{threads:9.1f}{whole:13.1f}{saved:14.1f}{cpu:5.1f}")


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main(sys.argv[1:] or list(NAMES))
