"""Runs a lesson from the first cell to the last. It prints the heading of each section above the section's
output.
"""

from __future__ import annotations

from typing import Any

from minipar.classroom import terminal
from minipar.classroom.cells import LessonFile


def run_lesson(lesson: LessonFile) -> dict[str, Any]:
    """Execute all cells of code. Return the dict of their global variables. Raises the errors of the lesson.

    Under mpirun, all ranks execute the cells, and only rank 0 prints the headings.
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
