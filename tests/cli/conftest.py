"""A run that is done, for the tests of what can be done with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.commands import call
from tests.tiny import options


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with text.txt and a finished run of 20 steps in run/; not to be changed."""
    folder = tmp_path_factory.mktemp("pristine")
    assert call("train", *options(folder), "--out", folder / "run") == 0
    return folder


@pytest.fixture
def done(pristine: Path, tmp_path: Path) -> Path:
    """A copy of that run, to work on. The text is where it was."""
    return Path(shutil.copytree(pristine / "run", tmp_path / "done"))
