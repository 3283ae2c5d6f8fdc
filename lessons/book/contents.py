"""What the book holds, in its order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import minipar
from minipar.exercises.catalogue import folders

ROOT = Path(minipar.__file__).resolve().parent.parent               # of the repository

# What stands before which lesson in the list; the other lessons are sorted by their numbers.
BEFORE = {"collectives": "13"}
# lesson -> the players in it, before the section on the documents
PLAYERS_IN = {"00_first_program": ("waits",), "04_memory_ledger": ("layout",), "collectives": ("collective",),
              "13_data_parallel": ("sharding",), "15_pipeline_parallel": ("schedule",),
              "16_mesh": ("layout", "timeline"), "17_elastic": ("elastic",), "18_asynchronous": ("asynchronous",),
              "19_inference": ("batch", "cache")}
BACKGROUND = ("lessons/ERRATA.md", "lessons/INDEX.md", "lessons/GLOSSARY.md", "lessons/FROM_PYTORCH.md")
REFERENCES = ("ARCHITECTURE.md", "minipar/training/TRAINING.md", "minipar/training/LOG.md", "minipar/inference/ENGINE.md",
              "minipar/graph/GRAPH.md", "minipar/plan/PLAN.md", "minipar/mpi4py_face/RUN.md", "minipar/mpi4py_face/FAULTS.md",
              "minipar/mpi4py_face/COVERAGE.md", "minipar/comm/FAULTS.md", "minipar/schedules/SCHEDULES.md",
              "minipar/launcher/HOSTS.md", "benchmarks/README.md", "CHANGELOG.md", "CONTRIBUTING.md")
ABOUT_EXERCISES = (
    "lessons/exercises/TUTOR.md",
    "lessons/exercises/README.md",
    "lessons/exercises/CHECKED.md",
)
TEACHING = tuple(
    path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "lessons" / "teaching").glob("*.md"))
)
SHORT_LESSONS, SHORT_EXERCISES = ("00_first_program", "15_pipeline_parallel"), 3


@dataclass(frozen=True)
class Contents:
    """Paths from the repository's root. lessons: .py files. exercises: their folders."""

    lessons: list[Path]
    exercises: list[Path]
    pages: list[Path]


def contents(short: bool = False) -> Contents:
    """short: what the quick check builds."""
    lessons = sorted((path for path in (ROOT / "lessons").glob("*.py") if path.name != "__init__.py"),
                     key=lambda path: BEFORE.get(path.stem, path.stem))
    exercises = folders(ROOT / "lessons" / "exercises")
    pages = [ROOT / name for name in ("README.md", "lessons/README.md", "lessons/examples/README.md", *BACKGROUND,
                                      *REFERENCES, *ABOUT_EXERCISES, *TEACHING) if (ROOT / name).is_file()]
    if short:
        lessons = [path for path in lessons if path.stem in SHORT_LESSONS]
        exercises = exercises[:SHORT_EXERCISES]
    return Contents(*([path.relative_to(ROOT) for path in paths] for paths in (lessons, exercises, pages)))
