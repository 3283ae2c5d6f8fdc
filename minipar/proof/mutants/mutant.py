"""A mutant is one classic bug that can be planted: inside a `with` block, the program has the bug.

    with MUTANTS["f-forgotten"].planted():
        ...                                         # all threads of this process have the bug

A bug is a list of changes. Each change gives an attribute of a class or a module a new value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from minipar.config import Layout
from minipar.errors import ConfigError
from minipar.proof.case import Case, uneven_case

SIZES: dict[str, Any] = dict(layers=1, context=7)                   # defaults of a mutant's case


class Change(NamedTuple):
    """The attribute `name` of `owner` (a class or a module) becomes `new`."""

    owner: Any
    name: str
    new: Any


@dataclass(frozen=True)
class PlantedBug:
    """A bug that can be planted. story: one to three sentences that describe the bug. check: the check that
    fails first. changes: a function that returns the changes.
    """

    name: str
    story: str
    check: str
    changes: Callable[[], list[Change]]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Plant the bug: make the changes at the start of the `with` block, and undo them at its end. Only
        one bug may be planted at a time. Raises ConfigError if a changed attribute does not exist.
        """
        changes = self.changes()
        for owner, name, _ in changes:
            if not hasattr(owner, name):
                raise ConfigError(f"mutant {self.name} changes {name}, which {owner} does not have; choose "
                                  "an existing attribute")
        before = [(change, vars(change.owner).get(change.name)) for change in changes]
        try:
            for owner, name, new in changes:
                setattr(owner, name, new)
            yield
        finally:
            for change, old in reversed(before):
                if old is None:                                     # the attribute belongs to a base class
                    delattr(change.owner, change.name)
                else:
                    setattr(change.owner, change.name, old)


@dataclass(frozen=True)
class Mutant(PlantedBug):
    """A bug of training that `minipar verify` detects. case: a model, training options and a layout with
    which the bug has an effect. shared: true if the reference has the bug, too. The reference of other
    mutants is made before the bug is planted.
    """

    case: Case
    shared: bool = False


def after_init(owner: Any, then: Callable[..., None]) -> Change:
    """Returns a change of the __init__ of a class. At its end, __init__ calls then(self, ...) with its own
    arguments.
    """
    original = owner.__init__

    def init(self: Any, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        then(self, *arguments, **options)
    return Change(owner, "__init__", init)


def mutant(check: str, *, shared: bool = False,
           **values: Any) -> Callable[[Callable[[], list[Change]]], Mutant]:
    """Returns a decorator that makes a Mutant. It decorates a function that returns the changes. The
    function's docstring becomes the story. check: the check of `verify` that fails first. shared: see Mutant.

    values: fields of Layout, ModelConfig and TrainConfig for the mutant's case.
    """
    axes = {field.name: values.pop(field.name) for field in fields(Layout) if field.name in values}

    def decorate(changes: Callable[[], list[Change]]) -> Mutant:
        story = " ".join((changes.__doc__ or "").split())
        return Mutant(changes.__name__.replace("_", "-"), story, check, changes,
                      uneven_case(Layout(**axes), **SIZES | values), shared)

    return decorate
