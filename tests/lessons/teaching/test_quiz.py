"""The quiz: 70 questions whose answers are computed, and are those below."""

from __future__ import annotations

import math

import pytest
from minipar.lessons.teaching import quiz
from minipar.lessons.teaching.questions import QUESTIONS
from minipar.lessons.teaching.questions.form import Question

from tests.lessons.running import LESSONS

# Found by hand or on paper, not by the functions.
ANSWERS: dict[str, float | str] = {
    "strided_sum": 2 + 5 + 8 + 11, "orders_of_lines": 6, "time_of_a_message": 25,
    "receive_first": "both wait for ever", "loss_of_a_coin": math.log(2), "derivative_by_a_logit": -0.3,
    "loss_of_knowing_nothing": math.log(50257), "largest_rate": 0.25, "first_step_of_adam": 0.9,
    "decay_of_adamw": 1.998, "f1_from_counts": 8 / 11, "f1_of_a_report": 0.72,
    "macro_of_always_o": 4 / 9, "state_in_float32": 16, "state_in_mixed_precision": 16,
    "what_grows": "activations", "accumulation_saves": 16, "forgotten_division": 8, "unequal_pieces": 3,
    "small_update": 1, "needed_scale": 32, "rounded_to_bfloat16": 256, "step_of_codes": 3 / 255,
    "wrapped_code": -56, "worth_of_a_bit": 10 * math.log10(4), "codes_without_a_gain": 14, "best_gain": "50",
    "slope_of_rounding": 0, "straight_through": -1, "zeros_of_a_threshold": 3,
    "break_even": 50, "zeros_without_a_mask": "none, if their gradients are not 0", "cost_of_a_weight": 1,
    "soft_threshold": -0.7, "softened": 1 / (1 + math.exp(-1)), "nothing_to_learn": 0, "ring_sends": 1500,
    "ring_messages": 14, "rounds_of_a_tree": 4, "faster_for_few_bytes": "recursive doubling",
    "weight_of_a_part": 0.3, "bytes_of_data_parallel": 7, "bytes_with_zero": 5.5,
    "micro_batches_of_a_rank": 8, "different_starts": "no", "all_reduces_of_a_block": 4, "bias_of_rows": 4,
    "tensor_parallel_gigabytes": 4 * 96 * 2 * 7 / 8 * 2048 * 12288 * 2 / 1e9, "after_rows": "add them up",
    "bubble_of_1f1b": 3 / 11, "enough_micro_batches": 27, "held_by_gpipe": 8, "held_by_1f1b": 4,
    "speed_of_layer_parallel": 1, "bubble_of_interleaved": 3 / 19, "stage_of_rank_5": 1,
    "partner_of_rank_5": 7, "ways_of_8_ranks": 10, "weights_on_a_mesh": 300,
    "busiest_axis": "tp", "useful_ranks": 8, "ranks_that_go_on": 2, "seconds_between_checkpoints": 100,
    "rate_with_old_gradients": 1, "age_of_gradients": 3, "average_of_models": "no", "flops_per_byte": 0.5,
    "room_in_blocks": 8, "zeros_after_training": 0, "dominated_model": "no"}


def faults(question: Question) -> list[str]:
    """What is wrong with a question, in words."""
    answer = question.answer()
    found = []
    if question.choices and answer not in question.choices:
        found.append(f"{answer} is no choice")
    if not question.choices and isinstance(answer, str):
        found.append("words without choices")
    if len(set(question.choices)) < len(question.choices):
        found.append("two equal choices")
    for wrong in question.wrong:
        if question.choices and wrong not in question.choices:
            found.append(f"{wrong} is no choice")
        if wrong == answer or not isinstance(wrong, str) and not isinstance(answer, str) and math.isclose(wrong, answer, rel_tol=1e-4):
            found.append(f"{wrong} is right")
    return found


def test_there_are_seventy_questions_on_all_lessons() -> None:
    assert len(QUESTIONS) == len({question.name for question in QUESTIONS}) == len({question.text for question in QUESTIONS}) == 70
    numbers = [str(int(name[:2])) if name[0].isdigit() else name for name in LESSONS]
    asked = [question.lesson for question in QUESTIONS]
    assert asked == sorted(asked, key=numbers.index), "in the order of the lessons"
    assert all(asked.count(number) >= 2 for number in numbers)


def test_the_answers_are_right() -> None:
    assert {question.name for question in QUESTIONS} == set(ANSWERS)
    found = {question.name: (question.answer(), ANSWERS[question.name]) for question in QUESTIONS}
    assert not {name: pair for name, pair in found.items() if not same(*pair)}


def same(one: float | str, other: float | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)


def test_every_question_can_be_asked() -> None:
    wrong = {question.name: faults(question) for question in QUESTIONS}
    assert not any(wrong.values()), {name: found for name, found in wrong.items() if found}


@pytest.mark.parametrize("answer, choices, wrong, said", [
    (3, (), {4: "no"}, []), (3, (), {3.0001: "no"}, ["3.0001 is right"]),
    ("a", (), {}, ["words without choices"]),
    ("a", ("b", "c"), {}, ["a is no choice"]), ("a", ("a", "a"), {}, ["two equal choices"]),
    ("a", ("a", "b"), {"c": "no"}, ["c is no choice"]), ("a", ("a", "b"), {"a": "no"}, ["a is right"])])
def test_a_bad_question_is_found(answer: float | str, choices: tuple[str, ...], wrong: dict[float | str, str],
                                 said: list[str]) -> None:
    assert faults(Question("0", "?", lambda: answer, choices=choices, wrong=wrong)) == said


def test_quiz_and_key_fit_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    quiz.main([])
    asked = capsys.readouterr().out
    assert all(len(line) <= 80 for line in asked.splitlines()) and "60. " in asked and "answer:" not in asked
    quiz.main(["--key", "--lesson", "14"])
    key = capsys.readouterr().out
    assert all(len(line) <= 80 for line in key.splitlines())
    mine = [question for question in QUESTIONS if question.lesson == "14"]
    assert key.count("    answer: ") == len(mine) and "33.82 GB" in key
