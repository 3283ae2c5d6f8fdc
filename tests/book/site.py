"""The site under test, and the runs that its players show."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.ranks import ROOT


def site() -> Path:
    """The folder that MINIPAR_BOOK names."""
    if "MINIPAR_BOOK" not in os.environ:
        pytest.fail(
            "MINIPAR_BOOK should name the site's folder; `make book-test` makes it, and sets it",
            pytrace=False,
        )
    return ROOT / os.environ["MINIPAR_BOOK"]


@cache
def script(name: str) -> str:
    """The script with a player's recorded run."""
    return (site() / "_static" / "players" / f"{name}.data.js").read_text(encoding="utf-8")


def recorded(name: str) -> Any:
    return json.loads(script(name).partition(" = ")[2].rstrip().removesuffix(";"))
