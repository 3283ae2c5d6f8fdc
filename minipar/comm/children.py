"""Child Python processes that import nothing from the current folder, such as a student's json.py."""

from __future__ import annotations

import sys
from pathlib import Path

import minipar

ROOT = str(Path(minipar.__file__).resolve().parent.parent)
# `python -c` puts the current folder first, PYTHONSAFEPATH does not, and PYTHONPATH can name it in many ways.
# Only `sys` and `os` are loaded before this code. "." also names a folder that has been deleted.
WITHOUT_FOLDER = ("import sys, os; sys.path[:] = [path for path in sys.path if path and not "
                  "(os.path.isdir(path) and os.path.samefile(path, '.'))]; "
                  f"sys.path.append({ROOT!r})")


def isolated(module: str, *words: str) -> list[str]:
    """The command `python -m module *words` for a module of minipar, but without the current folder on the
    path (except at its end, if it is minipar's own).
    """
    return isolated_code(f"import runpy; runpy.run_module({module!r}, run_name='__main__')", *words)


def isolated_code(code: str, *words: str) -> list[str]:
    """As `isolated`, for the text of a program."""
    return [sys.executable, "-c", f"{WITHOUT_FOLDER}\n{code}", *words]
