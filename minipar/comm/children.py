"""Starts child Python processes that do not import files of the current folder, such as a student's json.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import minipar

ROOT = str(Path(minipar.__file__).resolve().parent.parent)
# `python -c` puts the current folder first on the path, except with PYTHONSAFEPATH. PYTHONPATH can name the
# folder in many ways. Only `sys` and `os` are loaded before this code. "." may be a folder that was deleted.
WITHOUT_FOLDER = ("import sys, os; sys.path[:] = [path for path in sys.path if path and not "
                  "(os.path.isdir(path) and os.path.samefile(path, '.'))]; "
                  f"sys.path.append({ROOT!r})")


def isolated(module: str, *words: str) -> list[str]:
    """Returns a command that does the same as `python -m module *words` for a module of minipar, but without
    the current folder on the path. If the current folder is minipar's own, it is the last one on the path.
    """
    return isolated_code(f"import runpy; runpy.run_module({module!r}, run_name='__main__')", *words)


def isolated_code(code: str, *words: str) -> list[str]:
    """Returns a command like that of `isolated`, for a program that is given as text."""
    return [sys.executable, "-c", f"{WITHOUT_FOLDER}\n{code}", *words]
