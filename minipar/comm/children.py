"""Starts child Python processes that do not import files of the current folder, such as a student's json.py.
Their standard streams use UTF-8, whatever PYTHONIOENCODING or the locale says.
"""

from __future__ import annotations

import sys
from pathlib import Path

import minipar

ROOT = str(Path(minipar.__file__).resolve().parent.parent)
# This code removes the current folder from Python's search path. `python -c` puts that folder first, except
# with PYTHONSAFEPATH. PYTHONPATH may contain the folder under any name, so `samefile` compares each entry
# with ".".
# `isdir` comes first, since the current folder may have been deleted.
WITHOUT_FOLDER = ("import sys, os; sys.path[:] = [path for path in sys.path if path and not "
                  "(os.path.isdir(path) and os.path.samefile(path, '.'))]; "
                  f"sys.path.append({ROOT!r})")
SET_UTF8 = ("[stream.reconfigure(encoding='utf-8', errors='backslashreplace') "
            "for stream in (sys.stdin, sys.stdout, sys.stderr) if stream]")


def isolated(module: str, *words: str) -> list[str]:
    """Returns a command that runs a module of minipar, as `python -m module *words` does. The current folder
    is not on the search path of modules. The folder that holds minipar is the last one on the path.
    """
    return isolated_code(f"import runpy; runpy.run_module({module!r}, run_name='__main__')", *words)


def isolated_code(code: str, *words: str) -> list[str]:
    """Returns a command that runs the Python program `code`, with the same search path as `isolated`."""
    return [sys.executable, "-c", f"{WITHOUT_FOLDER}\n{SET_UTF8}\n{code}", *words]
