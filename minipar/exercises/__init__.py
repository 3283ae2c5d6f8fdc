"""Defines exercises, and grades them (`minipar exercise`).

A submission is the student's file. The grader judges it with five checks, which are called lights. Read the
files in this order:

    exercise.py    defines an exercise
    tasks.py       lists the calls of the student's function that decide the lights
    worker.py      runs the student's code in a separate process
    runner.py      sends calls to that process, and ends it after a time limit
    lights.py      computes the verdict: the state of the five lights
    patterns.py    describes the error of an array
    slips.py       finds slips of Python in the student's file

The process that computes the verdict never imports the student's code. `check` protects students from
accidents. `grade` (`broker.py`) is stricter: all messages pass through the grader, so it counts the messages
that were really sent.
"""

from minipar.exercises.bug import BugToFind
from minipar.exercises.exercise import Exercise, Par

__all__ = ["BugToFind", "Exercise", "Par"]
