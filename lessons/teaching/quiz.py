"""A quiz of 70 questions on the lessons, whose answers are computed when it is printed.

    python -m minipar.lessons.teaching.quiz                     all questions
    python -m minipar.lessons.teaching.quiz --key               with the answers, and what wrong answers tell
    python -m minipar.lessons.teaching.quiz --lesson 14 --key   those of one lesson

The questions are in questions/, one function for each. It computes the answer, so a changed number in the text needs no second
change in the key.
"""

from __future__ import annotations

import argparse
import textwrap

from minipar.lessons.teaching.questions import QUESTIONS
from minipar.lessons.teaching.questions.form import Question

WIDTH = 78


def question_text(number: int, question: Question) -> str:
    """The question as students see it, in lines of 78 columns."""
    unit = f" (in {question.unit})" if question.unit else ""
    lines = textwrap.wrap(f"{number}. {question.text}{unit}", WIDTH, subsequent_indent="    ")
    return "\n".join([*lines, *(f"    {letter}) {choice}" for letter, choice in zip("abcdef", question.choices, strict=False))])


def key_text(question: Question) -> str:
    """The answer, and what to say to those who gave a common wrong one."""
    answer = question.answer()
    shown = f"{answer:.4g}" if isinstance(answer, float) else str(answer)
    lines = [f"    answer: {shown}{' ' * bool(question.unit)}{question.unit}    [lesson {question.lesson}]"]
    for wrong, reply in question.wrong.items():
        lines += textwrap.wrap(
            f"who says {wrong}: {reply}", WIDTH, initial_indent="    ", subsequent_indent="      "
        )
    return "\n".join(lines)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="quiz", description="Questions on the lessons.")
    parser.add_argument("--key", action="store_true", help="with the answers")
    parser.add_argument(
        "--lesson", choices=sorted({question.lesson for question in QUESTIONS}), help="those of one lesson"
    )
    options = parser.parse_args(words)
    for number, question in enumerate(QUESTIONS, 1):
        if options.lesson in (None, question.lesson):
            print(question_text(number, question))
            print(f"{key_text(question)}\n" if options.key else "")


if __name__ == "__main__":
    main()
