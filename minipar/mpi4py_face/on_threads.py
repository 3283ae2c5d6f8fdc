"""Runs a program on ranks that are threads of this process. Each rank has its own modules, arguments and
random generators.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.threads.world import Unwound
from minipar.mpi4py_face.current import REFUSED_HELPERS
from minipar.mpi4py_face.modules import RankModules, own_modules
from minipar.mpi4py_face.one_rank import Books, rank_of_program
from minipar.mpi4py_face.options import RunOptions
from minipar.mpi4py_face.output import RankStream, replaced
from minipar.mpi4py_face.package import installed
from minipar.mpi4py_face.process_pools import explained
from minipar.mpi4py_face.program import UserProgram
from minipar.mpi4py_face.randomness import Generators, own_generators
from minipar.mpi4py_face.standard_streams import Arguments, Input

TIMEOUT = 30.0


@dataclass
class Ended:
    """The result of a run. globals: the `__main__` module of each rank. failure: the first rank that raised,
    and its error.
    """

    globals: list[dict[str, Any]]
    books: list[Books]
    failure: tuple[int, BaseException] | None = None


@dataclass
class Tables:
    """The state of the ranks that are threads. Each table maps the id of a thread to the state of its rank.
    """

    ranks: dict[int, int] = field(default_factory=dict)
    arguments: dict[int, list[str]] = field(default_factory=dict)
    modules: dict[int, RankModules] = field(default_factory=dict)
    generators: dict[int, Generators] = field(default_factory=dict)

    @contextmanager
    def signed_in(self, rank: int, program: UserProgram) -> Iterator[ModuleType]:
        """A context in which this thread is rank number `rank`. Yields the rank's `__main__` module."""
        me = threading.get_ident()
        modules, main = RankModules(program.folder), program.main()
        vars(main)["__builtins__"] = vars(modules.builtins)
        modules.loaded["__main__"] = main
        self.ranks[me], self.arguments[me] = rank, program.argv
        self.modules[me], self.generators[me] = modules, Generators()
        try:
            yield main
        finally:
            for table in (self.ranks, self.arguments, self.modules, self.generators):
                table.pop(me)


def run_on_threads(program: UserProgram, size: int, options: RunOptions,
                   heard: Callable[[int, list[str]], object] | None = None) -> Ended:
    """Run the program. The field `failure` of the result holds the first error and its rank. The rank is -1
    if the error belongs to the whole job.

    heard: a function that is called with (rank, lines) when a rank writes to stdout.
    """
    tables = Tables()
    ended = Ended([{} for _ in range(size)], [Books() for _ in range(size)])

    def work(comm: Communicator) -> None:
        rank = comm.rank
        with tables.signed_in(rank, program) as main, rank_of_program(comm, options, ended.books[rank]):
            ended.globals[rank] = vars(main)
            try:
                exec(program.code, vars(main))
            except Unwound:
                raise
            except BaseException as error:
                cause = explained(error, program)
                if ended.failure is None and not (isinstance(cause, SystemExit) and not cause.code):
                    ended.failure = rank, cause
                if cause is not error:
                    raise cause from error
                raise
            finally:
                for stream in streams:
                    stream.end(rank)

    REFUSED_HELPERS.clear()
    with ExitStack() as stack:
        streams = [RankStream(sys.stdout, tables.ranks, options.label, heard),
                   RankStream(sys.stderr, tables.ranks, options.label)]
        for stream in streams:
            stream.quiet = options.quiet
        stack.enter_context(replaced(sys, stdout=streams[0], stderr=streams[1],
                                     stdin=Input(sys.stdin, tables.ranks),
                                     argv=Arguments(sys.argv, tables.arguments)))
        stack.enter_context(installed())
        stack.enter_context(own_modules(tables.modules, program.folder))
        stack.enter_context(own_generators(tables.generators))
        try:
            run(size, work, checked=options.checked, synchronous=options.synchronous,
                timeout=options.timeout or TIMEOUT, any_source=options.any_source)
        except Exception as error:
            ended.failure = ended.failure or (-1, error)
        except SystemExit as error:
            ended.failure = ended.failure or (-1, error)
        if REFUSED_HELPERS:  # a refused call of another thread may be the cause of the other errors
            ended.failure = -1, REFUSED_HELPERS[0]
    return ended
