"""Checks exercises in a Jupyter notebook. Run `%load_ext minipar.cli.exercise_cell` once. Then begin a cell
with `%%exercise` and the name of an exercise.

    %%exercise ring_shift
    import numpy as np

    def shift(comm, x):
        ...

The cell is checked as `minipar exercise check` checks a file. With `%%exercise ring_shift --threads`, the
check uses only threads, not mpirun.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minipar.cli.exercise_check import show_check
from minipar.errors import ConfigError, MiniparError
from minipar.exercises.catalogue import find
from minipar.exercises.workplace import write

FOLDER = Path("exercises")


def load_ipython_extension(shell: Any) -> None:
    """Register the cell command. `%load_ext` calls this function."""
    shell.register_magic_function(check_cell, magic_kind="cell", magic_name="exercise")


def check_cell(line: str, cell: str) -> None:
    """Check a cell. `line` is the text after %%exercise: the name of an exercise, and optionally --threads.
    The cell is stored in exercises/NAME/cell.py, so that errors can name its lines."""
    words = line.split()
    threads = "--threads" in words
    try:
        names = [word for word in words if word != "--threads"]
        if len(names) != 1:
            raise ConfigError("name one exercise: %%exercise ring_shift")
        exercise = find(names[0])
        path = FOLDER / exercise.name / "cell.py"
        write(path, cell)
        show_check(exercise, path, FOLDER, threads)
    except MiniparError as error:
        print(f"%%exercise: {error}")
