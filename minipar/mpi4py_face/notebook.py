"""The magic command `%%ranks` for notebooks. Run `%load_ext minipar.mpi4py_face.notebook` once. Then write
`%%ranks 4` at the top of a cell.

    %%ranks 4 --synchronous
    from mpi4py import MPI
    print(MPI.COMM_WORLD.rank)

The cell is a separate program, so each rank starts without the notebook's variables. Each line of output
begins with its rank. If the program fails, the notebook shows the error. The command needs IPython, which
Jupyter or `minipar[notebook]` installs.
"""

from __future__ import annotations

import shlex
import sys
from typing import Any

from minipar.errors import ConfigError
from minipar.mpi4py_face.options import RunOptions
from minipar.mpi4py_face.run_program import run_cell

USAGE = "%%ranks N [--synchronous] [--count] [--any-source first|seed=N]"


def cell_options(line: str) -> tuple[int, RunOptions]:
    """Parse the text after %%ranks: the number of ranks and the options. Raises ConfigError for any other
    text.
    """
    words = shlex.split(line)
    if not words or not words[0].isdigit() or int(words[0]) < 1:
        raise ConfigError(f"%%ranks needs the number of ranks: {USAGE}")
    known = {"--synchronous": False, "--count": False}
    order: str | None = None
    rest = iter(words[1:])
    for word in rest:
        if word == "--any-source":
            order = next(rest, "")
        elif word in known:
            known[word] = True
        else:
            raise ConfigError(f"%%ranks does not know {word}: {USAGE}")
    return int(words[0]), RunOptions(label=True, synchronous=known["--synchronous"], count=known["--count"],
                                     any_source=order)


def ranks(line: str, cell: str) -> None:
    """Run the cell on ranks, then print the error or the counts. This function is the command `%%ranks`."""
    try:
        size, options = cell_options(line)
        run, told = run_cell(size, cell, options)
    except ConfigError as error:
        run, told = None, f"ConfigError: {error}"
    if told:
        sys.stderr.write(f"{told}\n")
    elif run is not None and options.count:
        sys.stdout.write(f"{run.traffic.table()}\n")


def load_ipython_extension(shell: Any) -> None:
    """Register the command. `%load_ext` calls this function."""
    shell.register_magic_function(ranks, magic_kind="cell")
