"""A page for each exercise: the task, how to begin, and the hints, folded. Never a solution."""

from __future__ import annotations

import re
from pathlib import Path

from minipar.exercises.exercise import Exercise, load


def page(folder: Path) -> str:
    """The page in MyST Markdown."""
    exercise, task = load(folder), (folder / "task.md").read_text(encoding="utf-8").rstrip()
    title, _, body = task.partition("\n")
    parts = [title, _facts(exercise), body.strip(), _begin(folder.name)]
    hints = (folder / "hints.md").read_text(encoding="utf-8") if (folder / "hints.md").is_file() else ""
    parts += [
        _folded(name, text)
        for name, text in re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", hints, re.MULTILINE)
    ]
    return "\n\n".join(parts) + "\n"


def _facts(exercise: Exercise) -> str:
    needs = ", ".join(f"`{name}`" for name in exercise.prerequisites)
    return (f"{exercise.kind} · {exercise.minutes} minutes · afterwards you can: {exercise.goal}"
            + f" · do first: {needs}" * bool(needs))


def _begin(name: str) -> str:
    return (f"## Begin\n\n```\nminipar exercise start {name}\nminipar exercise check {name}\n```\n\n"
            "The hints below open one by one. Try first.")


def _folded(name: str, text: str) -> str:
    """A hint that opens on a click, with or without JavaScript."""
    return f"<details class=\"mp-hint\"><summary>Hint: {name}</summary>\n\n{text.strip()}\n\n</details>"
