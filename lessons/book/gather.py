"""Copies and makes the pages of the book into one folder for Sphinx."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from minipar.lessons.book import exercises, reference
from minipar.lessons.book.contents import (
    ABOUT_EXERCISES,
    BACKGROUND,
    PLAYERS_IN,
    REFERENCES,
    ROOT,
    TEACHING,
    Contents,
)
from minipar.lessons.book.links import rewritten
from minipar.lessons.players import page as players

from minipar.classroom.cells import read_lesson
from minipar.classroom.notebook import notebook

PICTURES = (".png", ".svg")
DOCUMENTS = "What the documents say"


class Gatherer:
    """folder: where the pages go, in the folders that they have in the repository."""

    def __init__(self, folder: Path, contents: Contents) -> None:
        self.folder, self.contents = folder, contents
        lessons = {path.as_posix(): path.with_suffix(".ipynb").as_posix() for path in contents.lessons}
        texts = {path.as_posix(): path.as_posix() for path in contents.pages}
        tasks = {f"{path.as_posix()}/task.md": f"{path.as_posix()}.md" for path in contents.exercises}
        self.pages = {**lessons, **texts, **tasks}

    def all(self) -> None:
        self._write("index.md", self._index())
        self._write("players.md", self._players())
        for path in self.contents.pages:
            self._text(path.as_posix(), (ROOT / path).read_text(encoding="utf-8"))
        for path in self.contents.lessons:
            self._lesson(path)
        for path in self.contents.exercises:
            self._text(f"{path.as_posix()}/task.md", exercises.page(ROOT / path))
        self._write("exercises.md", self._exercises())
        for name, text in reference.pages():
            self._write(f"reference/{name}.md", text)
        shutil.copy(Path(__file__).parent / "conf.py", self.folder)
        self._statics()

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def _text(self, page: str, text: str) -> None:
        self._write(self.pages[page], rewritten(text, page, self.pages, self._picture))

    def _picture(self, path: str) -> bool:
        if not path.endswith(PICTURES) or not (ROOT / path).is_file():
            return False
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, self.folder / path)
        return True

    def _lesson(self, path: Path) -> None:
        """As a notebook, which Sphinx executes, with its players before the section on the documents."""
        book = json.loads(notebook(read_lesson(ROOT / path)))
        cells = book["cells"]
        for cell in cells:
            if cell["cell_type"] == "markdown":
                cell["source"] = rewritten(
                    "".join(cell["source"]), path.as_posix(), self.pages, self._picture
                )
        where = next((number for number, cell in enumerate(cells)
                      if cell["cell_type"] == "markdown" and DOCUMENTS in "".join(cell["source"]).split("\n")[0]), len(cells))
        text = "\n\n".join(f"```{{player}} {name}\n```" for name in PLAYERS_IN.get(path.stem, ()))
        if text:
            cells.insert(
                where,
                {"cell_type": "markdown", "id": "players", "metadata": {}, "source": f"## Try it\n\n{text}"},
            )
        self._write(self.pages[path.as_posix()], json.dumps(book))

    def _statics(self) -> None:
        """The players' scripts and style. The recorded runs are files of their own: a page loads those it needs."""
        for name, text in players.scripts().items():
            self._write(f"static/players/{name}", text)
        for name in players.PLAYERS:
            self._write(f"static/players/{name}.data.js", players.data(name))
        self._write("static/players/style.css", players.style())
        shutil.copy(Path(__file__).parent / "book.css", self.folder / "static")

    def _index(self) -> str:
        lessons = [self.pages[path.as_posix()] for path in self.contents.lessons]
        return "\n\n".join([
            "# minipar: the book",
            "Learn, and trust, how large models are trained in parallel. Every lesson here was executed when this book was "
            "made, and its outputs are what you see. Questions marked **Predict** lock your answer before they open; your "
            "answers stay in this browser.",
            "Begin with [lesson 0](lessons/00_first_program.ipynb), or with the [players](players.md). To run and change the "
            "code, see [what minipar is](README.md) and [how to run a lesson](lessons/README.md). Words are in the "
            "[glossary](lessons/GLOSSARY.md), in English and Chinese, and in the {ref}`index <genindex>`.",
            _tree("Start here", ["README.md", "players.md"]),
            _tree("Lessons", ["lessons/README.md", *lessons]),
            _tree("Exercises", ["exercises.md"]),
            _tree("Background", self._there(BACKGROUND)),
            _tree("For teachers", self._there(TEACHING)),
            _tree("Reference", ["reference/index.md", *self._there(REFERENCES), "lessons/examples/README.md"]),
        ]) + "\n"

    def _there(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name in self.pages]

    def _players(self) -> str:
        figures = "\n\n".join(
            f"## {players.find(name).TITLE}\n\n```{{player}} {name}\n```" for name in players.PLAYERS
        )
        return (
            "# Players\n\nEach player steps through a real run: with the buttons, or with the arrow keys, Home and End. "
            f"Without JavaScript, each shows the same as text.\n\n{figures}\n"
        )

    def _exercises(self) -> str:
        chapters: dict[str, list[str]] = {}
        for path in self.contents.exercises:
            chapters.setdefault(path.parent.name, []).append(self.pages[f"{path.as_posix()}/task.md"])
        trees = [_tree(chapter.replace("_", " "), pages) for chapter, pages in chapters.items()]
        return "\n\n".join(["# Exercises", "Five lights: it runs, its values are right, its gradients are right, it costs no "
                            "more than par, and it does not deadlock. `minipar exercise start NAME` begins one.",
                            *trees, _tree("About the exercises", self._there(ABOUT_EXERCISES))]) + "\n"


def _tree(caption: str, pages: list[str]) -> str:
    listed = "\n".join(page.rsplit(".", 1)[0] for page in pages)
    return f"```{{toctree}}\n:caption: {caption}\n:maxdepth: 1\n\n{listed}\n```" if pages else ""
