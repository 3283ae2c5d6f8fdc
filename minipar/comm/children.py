"""Child processes of this Python that import nothing from the current folder: a student's json.py there is not
ours to execute.
"""

from __future__ import annotations

import sys
from pathlib import Path

import minipar

ROOT = str(Path(minipar.__file__).resolve().parent.parent)
# `python -m` and `python -c` put the current folder first; -P, which does not, came with Python 3.11.
WITHOUT_FOLDER = "import sys; sys.path.pop(0)"


def isolated(module: str, *words: str) -> list[str]:
    """The command that runs a module of minipar as `python -m module *words` does, but without the current
    folder on its path.
    """
    code = (f"{WITHOUT_FOLDER}; sys.path.append({ROOT!r}); import runpy; "
            f"runpy.run_module({module!r}, run_name='__main__')")
    return [sys.executable, "-c", code, *words]
