"""Run a lesson from its first cell to its last, under its own headings, so that its tables have a meaning."""

from __future__ import annotations

from typing import Any

from minipar.classroom import terminal
from minipar.classroom.cells import LessonFile


def run_lesson(lesson: LessonFile) -> dict[str, Any]:
    """Execute all cells of a lesson in one namespace, which is returned. Under mpirun every rank does, and
    rank 0 alone shows the headings. Raises what the lesson raises.
    """
    names: dict[str, Any] = {"__name__": "__main__", "__file__": str(lesson.path)}
    waiting: list[str] = []
    for section in lesson.sections:
        waiting.append(section.heading)
        for cell in section.cells:
            if cell.kind == "prose":
                continue
            if waiting and "lesson" in names:
                names["lesson"].say(*(f"\n{terminal.heading(title)}" for title in waiting))
                waiting = []
            exec(lesson.compiled(cell), names)
    return names
