"""Check an exercise and show the result: the lights on threads, then under mpirun, then the next step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from minipar.cli.exercise_show import light_lines, printed_lines, verdict_lines
from minipar.exercises.bug_answer import of_answer
from minipar.exercises.check import Checked, check, read_submission
from minipar.exercises.cost import fastest
from minipar.exercises.exercise import Exercise
from minipar.exercises.light import Verdict
from minipar.exercises.outcome import outputs, wanted
from minipar.exercises.progress import StudentProgress
from minipar.exercises.tasks import CallResult


def show_check(exercise: Exercise, path: Path, folder: Path, threads: bool = False,
               seed: int | None = None) -> Checked:
    """Check the file, print the lights as they come, and record the result in `folder`.

    threads: check only on threads, not under mpirun. seed: the seed of the inputs.
    """
    progress, submission = StudentProgress(folder), read_submission(path)
    answer = of_answer(exercise, submission) is not None
    print(f"{exercise.name}, {'your answer' if answer else 'on threads'}:", flush=True)

    def threads_part(lights: Verdict, results: Sequence[CallResult]) -> None:
        for line in locked(exercise, progress, lights, results):
            print(line)
        shown = [light for light in lights.lights if not answer or light.state != "none"]
        print("\n".join(line for light in shown for line in light_lines(light)), flush=True)
        if progress.timed(exercise, seconds := fastest(exercise, lights, results)) and seconds is not None:
            print(f"\n  {1e6 * seconds:.1f} us of virtual time: your best so far")

    result = check(exercise, submission, mpi=not threads, seed=seed, on_threads_part=threads_part)
    progress.checked(exercise, result.mpi or result.threads, result.passed)
    progress.save()
    print("\n".join([*printed_lines(result.printed), *last_lines(exercise, result)]))
    return result


def last_lines(exercise: Exercise, result: Checked) -> list[str]:
    """Return lines with the result under mpirun and the next step."""
    lines = []
    if result.mpi is not None and result.mpi.passed:
        lines += ["", "under mpirun: all lights are on"]
    elif result.mpi is not None:
        lines += ["", "under mpirun:", *verdict_lines(result.mpi)]
    elif result.without_mpi and result.threads.passed:
        lines += ["", f"not under mpirun: {result.without_mpi}"]
    if result.passed:
        return [*lines, "", "Passed.", "", exercise.text("explanation.md").strip(), "",
                "next: minipar exercise next"]
    return [*lines, "", "to check with the same inputs again:",
            f"    minipar exercise check {exercise.name} --seed {result.seed}"]


def locked(exercise: Exercise, progress: StudentProgress, lights: Verdict,
           results: Sequence[CallResult]) -> list[str]:
    """Save the student's first prediction before the results are shown; returns a line about it. Returns []
    if the exercise asks for no prediction, or if the code does not run.
    """
    if exercise.kind != "predict" or lights.light("runs").state != "on":
        return []
    first = progress.predicted(exercise, outputs(results[0])[0], wanted(exercise, results[0])[0])
    progress.save()
    kept = progress.entry(exercise.name).prediction or {}
    again = "" if first else ", which is kept"
    return [f"  your first prediction{again}: {kept['right']} of {kept['of']} right"]
