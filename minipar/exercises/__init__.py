"""Exercises and their grader: `minipar exercise`.

Read in this order: `exercise.py` defines an exercise; `tasks.py` lists the calls that decide its five lights;
`worker.py` runs the student's code in a separate process; `runner.py` sends calls to that process and ends it
after a time limit; `lights.py` computes the verdict; `patterns.py` describes the error of an array.

The process that reaches the verdict never imports the student's code. `check` protects a student from
accidents. `grade` (`broker.py`) also forwards each message itself, so that it counts the messages that were
really sent.
"""

from minipar.exercises.bug import BugToFind
from minipar.exercises.exercise import Exercise, Par

__all__ = ["BugToFind", "Exercise", "Par"]
