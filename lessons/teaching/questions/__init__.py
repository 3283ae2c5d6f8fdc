"""The 70 questions, in the order of the lessons."""

from minipar.lessons.teaching.questions import layouts, model, parallel, ranks, small, systems
from minipar.lessons.teaching.questions.form import Question

QUESTIONS: list[Question] = [*ranks.ALL, *model.ALL, *small.ALL, *parallel.ALL, *layouts.ALL, *systems.ALL]
