"""Every lesson runs to its end on threads and under mpirun; what a lesson says to break breaks; its exercises
can be solved.
"""

from pathlib import Path

import pytest

from tests.forks import forked
from tests.lessons.running import (
    AFTER,
    LESSONS,
    alone,
    changed,
    command,
    on_threads,
    script_of,
    seconds_of_solution,
    source_of,
    with_solution,
)
from tests.ranks import mpirun

FAST = 9  # seconds of the processor with --fast, and one to import
# Ranks under mpirun. Of the mesh two are enough here: tests/proof proves its mixed layouts under mpirun. The
# lesson "collectives" runs in tests/comm/collectives, which Open MPI runs, too.
MPI = {"00_first_program": 3, "13_data_parallel": 2, "14_tensor_parallel": 2, "15_pipeline_parallel": 4,
       "16_mesh": 2, "17_elastic": 4, "18_asynchronous": 3, "19_inference": 2, "20_capstone": 4}

# lesson -> what the student changes, into what, and the line that stops the lesson
BREAKS = {
    "00_first_program": (
        "NUMBERS[comm.rank::comm.size].sum()",
        "NUMBERS[comm.rank::comm.size - 1].sum()",
        "the parts add up to the whole: look at which numbers each rank takes",
    ),
    "01_loss_and_gradient": (
        "(y / p - (1 - y) / (1 - p))[:, None]",
        "(y / p + (1 - y) / (1 - p))[:, None]",
        "the chain rule gives what differences give: look at the signs",
    ),
    "02_adam": (
        "corrected = (m / (1 - beta1**t)),",
        "corrected = m,",
        "two steps of the rate: look at the correction of m and of v",
    ),
    "03_reading_a_report": (
        "PADDING = IGNORE",
        'PADDING = TAGS.index("O")',
        "the supports add up to the words of the text: does padding count?",
    ),
    "04_memory_ledger": (
        "training_memory(TOY, TRAIN, mp.Layout(), 0, computed_pairs)",
        "training_memory(TOY, TRAIN, mp.Layout(), 0, lambda T: T * T)",
        "the ledger is what is allocated, to the byte: compare line by line",
    ),
    "05_gradient_accumulation": (
        "count=targets.size))\n    return",
        "count=targets[rows].size))\n    return",
        "the pieces add up to the batch: look at what each divides by",
    ),
    "06_mixed_precision": (
        "if scale.update(finite):",
        "if scale.update(finite) or True:",
        "with all three parts float16 ends where float32 does: skip infinities",
    ),
    "07_linear_quantisation": (
        "return np.clip(q, -128, 127)",
        "return q",
        "200 is no code of 8 bits: clip, or it wraps to -56",
    ),
    "08_nonlinear_quantisation": (
        "u = q / (N - 1)\n        return np.log(u / (1 - u)) / k",
        "u = q / (N - 1)\n        return np.log(u) / k",
        "behind the sigmoid the error is half a step: look at the way back",
    ),
    "09_quantisation_after_and_in_training": (
        "(quantize(y, SCHEME).dequantize() for y in (w, moved))",
        "(y for y in (w, moved))",
        "a millionth changes no code, unless a weight is just at a border",
    ),
    "10_magnitude_pruning": (
        "optimizer = prune.Masked(Adam(flat), mask)",
        "optimizer = Adam(flat)",
        "the weights that went are gone after 'tuned', too (A35)",
    ),
    "12_distillation": (
        "return T * (softmax(z_student / T)",
        "return (softmax(z_student / T)",
        "the gradient is T times the difference of the two softmaxes (A23)",
    ),
    "11_importance": (
        "step = -w[i] / inverse[i, i] * inverse[:, i]",
        "step = without(w, i)",
        "the loss rises by what OBS says: look at how the other weight moves",
    ),
    "13_data_parallel": (
        "clip=0, seed=0,",
        "clip=0, seed=comm.rank,",
        "replicas are equal: same start, same steps; look at the seed",
    ),
    "14_tensor_parallel": (
        'copy_to_region(x, comm, "dx")',
        "x",
        "compare with the unsplit layer. Wrong here: dx of by_columns",
    ),
    "15_pipeline_parallel": (
        'mp.all_reduce(ends, tied.grad, label="tied table")',
        "tied.grad",
        "all gradients are one process's: look at the table that two ranks have",
    ),
    "16_mesh": (
        "replace(TRAIN, seed=0)",
        "replace(TRAIN, seed=comm.rank)",
        "every mesh has one process's losses: look at the seeds of the ranks",
    ),
    "17_elastic": (
        'smaller_along_dp(mp.Layout(dp=4, gradients="bitwise"))',
        'smaller_along_dp(mp.Layout(dp=4, gradients="flat"))',
        "no bit of the weights knows of the deaths",
    ),
    "18_asynchronous": (
        "sgd(factor * stability_limit(WORKERS - 1))",
        "sgd(1.2 * factor * stability_limit(WORKERS - 1))",
        "below the limit of section 1 the weights settle: look at the rate",
    ),
    "19_inference": (
        "seen = slice(0, None)",
        "seen = slice(-4, None)",
        "the cache changes nothing: does each token see all earlier ones?",
    ),
    "20_capstone": (
        "masked=False), pruned(gpt, 0.8)",
        "masked=False), pruned(gpt, 0.8, masked=False)",
        "under the mask, zeros stay zeros",
    ),
    "collectives": (
        "== [chunk == rank for chunk in range(p)]",
        "== [chunk == rank + 1 for chunk in range(p)]",
        "half-way, rank r has chunk r complete, and no other",
    ),
}


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_runs_to_its_end_with_its_exercise_solved(lesson: str, tmp_path: Path) -> None:
    """With --fast; its ranks, if it has several, are threads. A lesson of one process keeps to its time. The
    solution stands where a student writes it.
    """
    job = forked(with_solution(lesson, tmp_path), tmp_path, "--fast")
    assert job.returncode == 0, job.stdout + job.stderr
    assert_pictures(lesson, tmp_path, job.stdout)
    wide = [line for line in job.stdout.splitlines() if len(line) > 80 and not line.startswith("picture: ")]
    assert not wide, "what a lesson prints fits a projector"
    assert "hard to read: " not in job.stderr, job.stderr
    seconds = job.seconds - seconds_of_solution(job.stdout)
    assert not alone(lesson) or seconds < FAST, f"{seconds:.1f} s of the processor with --fast"


def test_every_lesson_with_an_exercise_in_its_text_has_a_solution() -> None:
    """The exercises of `minipar exercise` have their solutions in lessons/exercises."""
    folder = Path(__file__).parent / "solutions"
    solved = {path.stem for path in folder.glob("*.py")}
    asked = {lesson for lesson in LESSONS if "**Exercise" in source_of(lesson)}
    assert solved == asked | {*AFTER}


@pytest.mark.mpi
@pytest.mark.parametrize("lesson", MPI)
def test_a_lesson_of_several_ranks_runs_under_mpirun(lesson: str, tmp_path: Path) -> None:
    job = mpirun(MPI[lesson], command(script_of(lesson), tmp_path, "--fast"), limit=120)
    assert job.returncode == 0, job.stdout
    assert_pictures(lesson, tmp_path, job.stdout)


def test_a_lesson_runs_as_its_readers_run_it(tmp_path: Path) -> None:
    """By an interpreter that has imported nothing before."""
    job = on_threads(script_of("01_loss_and_gradient"), tmp_path, "--fast")
    assert job.returncode == 0, job.stdout + job.stderr
    assert_pictures("01_loss_and_gradient", tmp_path, job.stdout)


def assert_pictures(lesson: str, folder: Path, printed: str) -> None:
    pictures = list(folder.glob(f"{lesson}*.png"))
    assert pictures and "picture: " in printed and all(path.stat().st_size > 10_000 for path in pictures)


@pytest.mark.parametrize("lesson", BREAKS)
def test_what_a_lesson_says_to_break_breaks(lesson: str, tmp_path: Path) -> None:
    old, new, stop = BREAKS[lesson]
    job = forked(changed(lesson, old, new, tmp_path), tmp_path, "--fast")
    assert job.returncode == 1 and job.stderr.rstrip().endswith(f"AssertionError: {stop}"), (
        job.stdout + job.stderr
    )


def planted(folder: Path, ranks: int) -> Path:
    """A lesson that fails on any number of ranks but two."""
    script = folder / "wrong.py"
    script.write_text(f"""
from minipar.lessons.support.lesson import Lesson
lesson = Lesson("wrong", ranks={ranks})
lesson.say(f"fast {{lesson.fast}}, pictures in {{lesson.folder}}", lesson.run(lambda comm: comm.rank))
assert lesson.size == 2, "planted"
""")
    return script


@pytest.mark.mpi
def test_a_lesson_that_fails_under_mpirun_says_so_once(tmp_path: Path) -> None:
    job = mpirun(3, command(planted(tmp_path, ranks=4), tmp_path), limit=60)
    assert (
        job.returncode != 0 and job.stdout.count("AssertionError: planted") == 1 and "[0, 1, 2]" in job.stdout
    )


@pytest.mark.parametrize("words, wrong, ranks", [
    (["--fats"], "'--fats'", 0), (["--fast", "here", "there"], "'there'", 0),
    pytest.param(["--fats"], "'--fats'", 2, marks=pytest.mark.mpi)])
def test_a_lesson_says_in_one_line_what_it_does_not_know(words: list[str], wrong: str, ranks: int,
                                                         tmp_path: Path) -> None:
    script = planted(tmp_path, ranks=4)
    job = mpirun(ranks, [*command(script, tmp_path)[:-1], *words],
                 limit=60) if ranks else forked(script, tmp_path, *words)
    said = [line for line in (job.stdout + (job.stderr or "")).splitlines() if "lesson" in line]
    assert (
        job.returncode == 2
        and len(said) == 1
        and f"lesson wrong does not know {wrong}; it takes [--fast]" in said[0]
    )


@pytest.mark.mpi
def test_a_lesson_of_one_process_refuses_mpirun(tmp_path: Path) -> None:
    job = mpirun(2, command(planted(tmp_path, ranks=1), tmp_path), limit=60)
    assert job.returncode == 2 and job.stdout.count("runs in one process: start it without mpirun") == 1


def test_a_lesson_says_at_once_that_it_cannot_save_pictures(tmp_path: Path) -> None:
    script = planted(tmp_path, ranks=2)
    script.write_text(f"import sys\nsys.argv[1:] = ['{script}/here']\n{script.read_text()}")
    job = forked(script, tmp_path)
    assert job.returncode == 2 and not job.stdout
    assert (
        f"no folder for pictures can be made at {script}/here: Not a directory; name another one"
        in job.stderr
    )


@pytest.mark.parametrize("words, fast", [(["--fast"], True), ([], False)])
def test_a_lesson_knows_whether_it_is_to_be_fast(words: list[str], fast: bool, tmp_path: Path) -> None:
    job = forked(planted(tmp_path, ranks=2), tmp_path, *words)
    assert job.stdout.splitlines()[0] == f"fast {fast}, pictures in {tmp_path}"


@pytest.mark.parametrize("breaking, status", [
    ("os.close(1); sys.stdout = None", 74), ("os.dup2(os.open('/dev/full', os.O_WRONLY), 1)", 74),
    ("os.close(2); sys.stderr = None", 0), ("r, w = os.pipe(); os.close(r); os.dup2(w, 1)", 141)])
def test_a_broken_console_does_not_stop_a_lesson(breaking: str, status: int, tmp_path: Path) -> None:
    """As of a command: it runs to its end, and the exit status tells that output is lost."""
    script = planted(tmp_path, ranks=2)
    script.write_text(
        f"import os, sys\n{breaking}\n{script.read_text()}os.mkdir({str(tmp_path / 'end')!r})\n"
    )
    job = forked(script, tmp_path)
    assert (tmp_path / "end").exists() and job.returncode == status and "Traceback" not in job.stderr, (
        job.stderr
    )
    assert ("stdout cannot be written" in job.stderr) == (status == 74)


def test_a_long_answer_beside_a_long_prediction_fits_80_columns(tmp_path: Path) -> None:
    """It wraps at words, and no number breaks at its sign."""
    script = planted(tmp_path, ranks=2)
    script.write_text(f"""{script.read_text()}
lesson.prediction = "the loss, and the gradients of the last block"
lesson.reveal("the loss to 1e-12, and no gradient of any of the blocks before it")
lesson.reveal("every loss to within 1e-12, every gradient of every block to 1e-12")
""")
    job = forked(script, tmp_path)
    _, answers = job.stdout.split("  answer:", 1)
    assert job.returncode == 0 and all(len(line) <= 80 for line in answers.splitlines()), answers
    assert job.stdout.count("1e-12") == 3 and job.stdout.count("compare") == 2
