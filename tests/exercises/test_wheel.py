"""What a student installs: a wheel of this tree, in a new environment and an empty folder, is enough for an
exercise.
"""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from minipar.exercises.catalogue import exercises_folder
from tests.ranks import ROOT

NAME = "ring_reduce_scatter"


def run(*words: object, folder: Path, **more: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([str(word) for word in words], cwd=folder, env={**environment, **more}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                           text=True, capture_output=True, check=True).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file() and not name.startswith(("tests/", "lessons/pictures", "benchmarks/")):
            (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "tree" / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder,
        folder / "tree", folder=folder)
    return next(folder.glob("minipar-*.whl"))


def test_the_wheel_has_every_file_of_every_exercise(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    root = exercises_folder()
    wanted = {f"minipar/lessons/exercises/{path.relative_to(root).as_posix()}" for path in root.rglob("*")
              if path.is_file() and "__pycache__" not in path.parts}
    assert wanted - inside == set()
    assert "minipar/lessons/01_loss_and_gradient.py" in inside


def test_an_exercise_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """The new environment gets NumPy and MPI from this one, as packages, and minipar from the wheel alone."""
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "new", folder=tmp_path)
    python = tmp_path / "new" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index",
        wheel, folder=tmp_path)
    packages = next((tmp_path / "new" / "lib").glob("python*/site-packages"))
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    work = tmp_path / "work"
    work.mkdir()
    minipar = tmp_path / "new" / "bin" / "minipar"
    place = run(python, "-c", "import minipar; print(minipar.__file__)", folder=work).strip()
    assert place.startswith(str(tmp_path / "new"))
    run(minipar, "exercise", "start", NAME, folder=work)
    answer = exercises_folder() / "02_collectives" / NAME / "solution.py"
    (work / "exercises" / NAME / f"{NAME}.py").write_text(answer.read_text())
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    said = run(minipar, "ex", "check", folder=work, PATH=path, LD_LIBRARY_PATH=f"{sys.prefix}/lib")
    assert "under mpirun: all lights are on" in said and "Passed." in said


def test_all_packages_are_listed() -> None:
    """setup.cfg names each folder of minipar that has an __init__.py, and those of the lessons."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    folders = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for path in (ROOT / "minipar").rglob("__init__.py")
    }
    lessons = {"minipar." + path.parent.relative_to(ROOT).as_posix().replace("/", ".")
               for path in (ROOT / "lessons").rglob("__init__.py")}
    assert set(setup["options"]["packages"].split()) == folders | lessons
