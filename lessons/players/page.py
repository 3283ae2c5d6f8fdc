"""Players as HTML: a figure for a page, the scripts with their data, and a page of its own."""

from __future__ import annotations

import functools
import html
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

FOLDER = Path(__file__).parent
PLAYERS = ("schedule", "collective", "layout", "timeline", "waits", "sharding", "elastic", "asynchronous", "batch",
           "cache")
SHARED = ("core", "orders", "simulate", "judge", "questions")  # scripts before those of the players, in order


class PlayerModule(Protocol):
    """What the module of a player has; see the package."""

    TITLE: str
    DOES: str

    def recorded(self) -> Any: ...

    def plain(self) -> str: ...


def find(name: str) -> PlayerModule:
    return cast(PlayerModule, importlib.import_module(f"{__package__}.{name}"))


def figure(name: str) -> str:
    """The player's place in a page, with its text for readers without JavaScript."""
    player = find(name)
    return (
        f'<figure class="mp-player" data-player="{name}" role="group" aria-label="{html.escape(player.TITLE)}">'
        f"<figcaption><strong>{html.escape(player.TITLE)}.</strong> {html.escape(player.DOES)}</figcaption>"
        f'<div class="mp-plain">{player.plain()}</div></figure>'
    )


def scripts() -> dict[str, str]:
    """File name -> text, in the order in which a page must load them."""
    return {f"{name}.js": (FOLDER / "js" / f"{name}.js").read_text(encoding="utf-8")
            for name in (*SHARED, *PLAYERS)}


@functools.cache
def data(name: str) -> str:
    """A script that gives a player its recorded run; "" for a player without one. "<" is escaped, since the
    text may stand in a page.
    """
    found = find(name).recorded()
    if found is None:
        return ""
    text = json.dumps(found, separators=(",", ":")).replace("<", "\\u003c")
    return f'minipar.data["{name}"] = {text};\n'


def style() -> str:
    return (FOLDER / "style.css").read_text(encoding="utf-8")


def page(*names: str, runs: Callable[[str], str] = data) -> str:
    """One self-contained page with these players. runs(name): the script with a player's run."""
    code = "\n".join([*scripts().values(), *map(runs, names)])
    figures = "\n".join(map(figure, names))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>minipar: players</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body {{ margin: 0 auto; padding: .5rem; max-width: 62rem; background: var(--mp-paper) }}
{style()}</style></head>
<body>
{figures}
<script>{code}</script></body></html>
"""
