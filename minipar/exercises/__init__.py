"""Exercises and their grader: `minipar exercise`.

Read in this order: `exercise.py` says what an exercise is; `tasks.py` which calls decide its five lights;
`worker.py` runs the student's code, in a process of its own; `runner.py` feeds that process and ends it when
it takes too long; `lights.py` reaches the verdict; `patterns.py` says what kind of wrong an array is.

The process that reaches the verdict never imports the student's code. `check` protects a student from
accidents. `grade` (`broker.py`) also passes each message itself, so that it counts what was really sent.
"""

from minipar.exercises.exercise import Exercise, Par

__all__ = ["Exercise", "Par"]
