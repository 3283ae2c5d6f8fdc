"""No child process of minipar imports a student's file, for any file name and any way to put the current
folder on the path.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from minipar.comm.children import isolated, isolated_code
from minipar.doctor.checkup import Host, find_library
from tests.ranks import ROOT

WAYS = {"python": {}, "safe path": {"PYTHONSAFEPATH": "1"}, "a dot": {"PYTHONPATH": "."},
        "empty": {"PYTHONPATH": ":"},
        "its name": {"PYTHONPATH": "HERE"}, "a link": {"PYTHONPATH": "HERE/link"}}
CHILDREN = ("minipar.comm.deadlock.watcher", "minipar.doctor.smoke", "mpi4py.MPI")


@cache
def imported() -> list[str]:
    """All that the children import by a name of its own, but for what Python's own start has imported before.
    """
    code = ("import sys; before = {*sys.modules}; import runpy, argparse, " + ", ".join(CHILDREN)
            + "; print(*{name.partition('.')[0] for name in sys.modules} - before)")
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert {"json", "random", "numpy", "minipar", "mpi4py"} <= {*imported()}
    for name in imported():
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('a student wrote {name}.py')\n")
    (tmp_path / "link").symlink_to(tmp_path)
    return tmp_path


@pytest.mark.parametrize("way", WAYS)
def test_no_file_of_the_current_folder_is_imported(
    way: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {
        **os.environ,
        **{name: value.replace("HERE", str(folder)) for name, value in WAYS[way].items()},
    }
    monkeypatch.chdir(folder)
    watcher = subprocess.run(isolated(CHILDREN[0], "none"), env=environ, capture_output=True, text=True)
    assert (
        "ValueError: invalid literal for int" in watcher.stderr
    )  # it has imported all, and asks for numbers
    if way == "a dot":                                              # these import NumPy, and take longer
        hello = subprocess.run(isolated(CHILDREN[1], "hello"), env=environ, capture_output=True, text=True)
        assert json.loads(hello.stdout) == {"size": 1}, hello.stderr
        assert find_library(Host(environ, "", 2)).status == "ok"


def test_a_folder_of_another_name_stays_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PYTHONPATH is how some install NumPy. And the current folder may be gone."""
    (tmp_path / "mpi4py.py").write_text("raise OSError('planted')\n")
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    found = find_library(Host({**os.environ, "PYTHONPATH": str(tmp_path)}, "", 2))
    assert found.status == "broken" and "planted" in found.text


@pytest.mark.parametrize("value", ["utf-16", "ascii:strict", "latin-1"])
def test_the_encoding_of_the_environment_does_not_matter(value: str) -> None:
    """A child answers in UTF-8, and its parent reads all bytes, also those that are no UTF-8."""
    code = r"import os; print('\u03b1 \udcff', flush=True); os.write(1, b'\xd9\n')"
    environ = {**os.environ, "PYTHONIOENCODING": value}
    said = subprocess.run(isolated_code(code), env=environ, check=True, stdout=subprocess.PIPE,
                          encoding="utf-8", errors="backslashreplace").stdout
    assert said.split() == ["\u03b1", "\\udcff", "\\xd9"]


def test_the_doctor_reads_a_probe_in_any_encoding() -> None:
    assert find_library(Host.here({**os.environ, "PYTHONIOENCODING": "utf-16"})).status == "ok"


def test_no_command_starts_a_child_that_imports_from_the_current_folder() -> None:
    """`python -m` puts the current folder first on the path. Only `isolated` starts modules."""
    starts, root = re.compile(r"""executable,\s*["']-m"""), ROOT / "minipar"
    assert starts.search('[sys.executable,\n "-m", "minipar"]')
    found = [path.relative_to(root) for path in root.rglob("*.py") if starts.search(path.read_text("utf-8"))]
    assert found == []
