"""What a question of the quiz is, and the decorator that makes one from a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

AnswerValue = int | float | str


@dataclass(frozen=True)
class Question:
    """answer(): computes the right answer, a number of `unit`s or one of `choices`. wrong: a common wrong answer -> what to
    say to those who gave it.
    """

    lesson: str
    text: str
    answer: Callable[[], AnswerValue]
    unit: str = ""
    choices: Sequence[str] = ()
    wrong: Mapping[AnswerValue, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.answer.__name__


class Collection(list[Question]):
    """Questions in the order in which their functions are written."""

    def ask(self, lesson: str, text: str, *, unit: str = "", choices: Sequence[str] = (),
            wrong: Mapping[AnswerValue, str] | None = None) -> Callable[[Callable[[], AnswerValue]], Callable[[], AnswerValue]]:
        def add(answer: Callable[[], AnswerValue]) -> Callable[[], AnswerValue]:
            self.append(Question(lesson, text, answer, unit, choices, wrong or {}))
            return answer
        return add
