"""Sphinx: the directive {player}, and the scripts of the pages that have one."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from minipar.lessons.players import page as players
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

USED = "minipar_players"                                            # metadata of a page: the players in it


class PlayerDirective(SphinxDirective):
    """```{player} schedule```: the figure of one player."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if name not in players.PLAYERS:
            raise self.error(f"no player is called {name!r}; choose {', '.join(players.PLAYERS)}")
        self.env.metadata[self.env.docname].setdefault(USED, []).append(name)
        return [nodes.raw("", players.figure(name), format="html")]


def add_scripts(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    used = app.env.metadata.get(pagename, {}).get(USED, []) if doctree is not None else []
    wanted = (
        ["core", "judge", "questions"]
        if not used
        else [name.removesuffix(".js") for name in players.scripts()]
    )
    for name in [*wanted, *(f"{name}.data" for name in used)]:
        app.add_js_file(f"players/{name}.js", priority=600)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("player", PlayerDirective)
    app.connect("html-page-context", add_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
