"""Child processes of this Python that import nothing from the current folder: a student's json.py there is
not ours to execute.
"""

from __future__ import annotations

import sys
from pathlib import Path

import minipar

ROOT = str(Path(minipar.__file__).resolve().parent.parent)
# `python -c` puts the current folder first, PYTHONSAFEPATH does not, and PYTHONPATH can name it in many ways.
# Only `sys` is there without an import, and `os`, which Python's own start has imported. A folder that is
# gone has no name, but ".".
WITHOUT_FOLDER = ("import sys, os; sys.path[:] = [path for path in sys.path if path and not "
                  "(os.path.isdir(path) and os.path.samefile(path, '.'))]; "
                  f"sys.path.append({ROOT!r})")


def isolated(module: str, *words: str) -> list[str]:
    """The command that runs a module of minipar as `python -m module *words` does, but without the current
    folder on its path (its end apart, where that is minipar's own).
    """
    return isolated_code(f"import runpy; runpy.run_module({module!r}, run_name='__main__')", *words)


def isolated_code(code: str, *words: str) -> list[str]:
    """The same for the text of a program."""
    return [sys.executable, "-c", f"{WITHOUT_FOLDER}\n{code}", *words]
