"""Lessons as notebooks, executed by a real kernel in a folder of their own.

    python -m tests.classroom.notebooks             all lessons: some minutes
    python -m tests.classroom.notebooks 0 14        these

A lesson passes if no cell fails and every picture that it draws is shown below its cell. To each notebook two
cells are added: a command of minipar, and a program on four ranks. It needs the packages of the extra `test`.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from minipar.cli.lesson import entries, lessons_folder
from tests.commands import call

COMMAND = "!minipar schedule simulate 1f1b --ranks 4 --micro-batches 8"
LOAD = "%load_ext minipar.mpi4py_face.notebook"
RANKS = """%%ranks 4
from mpi4py import MPI
print("I am", MPI.COMM_WORLD.rank)"""


def executed(lesson: str, folder: Path) -> Any:
    """The lesson's notebook after its run in `folder`. Raises CellExecutionError where a cell fails."""
    path = folder / "lesson.ipynb"
    with redirect_stdout(io.StringIO()):
        assert call("lesson", "export", lesson, "--ipynb", path) == 0
    book = nbformat.read(path, as_version=4)
    book.cells += [nbformat.v4.new_code_cell(text) for text in (COMMAND, LOAD, RANKS)]
    NotebookClient(book, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    return book


def faults(book: Any) -> list[str]:
    """What an executed notebook lacks: pictures, the output of the command, or that of the four ranks."""
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    found = [f"{drawn(cell)} pictures drawn, {shown(cell)} shown: {cell.source[:60]!r}" for cell in cells
             if drawn(cell) != shown(cell)]
    found += ["it draws no picture"] * (not any(map(drawn, cells)))
    found += ["no output of the command"] * ("bubble" not in said(cells[-3]))
    return found + ["not all ranks answer"] * any(f"I am {rank}" not in said(cells[-1]) for rank in range(4))


def said(cell: Any) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def drawn(cell: Any) -> int:
    return sum(line.startswith("picture: ") for line in said(cell).splitlines())


def shown(cell: Any) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def main(lessons: list[str]) -> int:
    """Prints one line for each lesson. Returns 0 if all pass, 1 otherwise."""
    os.environ["PATH"] = (
        f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # as in an activated venv
    )
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    failed = 0
    for lesson in lessons or [entry.number for entry in entries(lessons_folder())]:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            wrong = faults(executed(lesson, Path(folder)))
        failed += bool(wrong)
        print(
            f"lesson {lesson}: {'; '.join(wrong) or 'passed'}, {time.perf_counter() - began:.1f} s",
            flush=True,
        )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
