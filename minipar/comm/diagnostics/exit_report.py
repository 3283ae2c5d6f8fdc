"""Makes the last text of a failed program. This text is one line for a user's mistake, a traceback
for a bug, or a list of loose ends. Loose ends are messages that were not received, and requests that were not
waited for.
"""

from __future__ import annotations

import signal
import traceback
from collections.abc import Sequence
from types import TracebackType

from minipar.comm.diagnostics.call_site import INSIDE, program_name
from minipar.comm.diagnostics.ledger import LedgerPage, loose_ends
from minipar.errors import CommError, MiniparError

SHOWN = 4                                                           # largest number of loose ends in the list


def first_diagnosis(error: BaseException) -> BaseException:
    """Returns the error to report. If a rank raised several CommErrors one after the other, this is the first
    one.

    After a deadlock, a wait in a `finally` block fails too. Its error is raised later and does not show the
    cause.
    """
    while (
        isinstance(error, CommError) and error.__cause__ is None and isinstance(error.__context__, CommError)
    ):
        error = error.__context__
    return error


def last_words(error: BaseException, rank: int, size: int) -> tuple[str, int]:
    """Returns the text for stderr and the exit status for an error that ends the job."""
    who = f"rank {rank} of {size}"
    if isinstance(error, MiniparError):
        of_rank = "" if size == 1 or isinstance(error, CommError) else f"{who}: "
        return f"{type(error).__name__}: {of_rank}{error}", 2
    if isinstance(error, KeyboardInterrupt):
        text, status = interruption(error)
        return f"{who} was {text}", status
    if isinstance(error, SystemExit):
        told = "" if isinstance(error.code, int) else f": {error.code}"
        return f"{who} left with status {error.code if not told else 1}{told}", exit_status(error.code)
    return f"{who} raised:\n{traceback_text(error)}", 1


def traceback_text(error: BaseException) -> str:
    """Returns the traceback of an error as text, without minipar's frames between frames of the program.

    The traceback ends at a line of the program if an import fails, or if a call of minipar refuses an
    argument by a `raise` statement. Otherwise minipar's last frames stay, because they may show a mistake in
    minipar.
    """
    told = traceback.TracebackException(type(error), error, from_program(error.__traceback__))
    inner = [frame.filename.startswith((*INSIDE, "<frozen importlib")) for frame in told.stack]
    if told.stack and program_name(told.stack[0].filename):
        deliberate = isinstance(error, ImportError) or (told.stack[-1].line or "").startswith("raise ")
        last = max(number for number, hidden in enumerate(inner) if not hidden)
        told.stack[:] = [frame for number, frame in enumerate(told.stack)
                         if not inner[number] or number > last and not deliberate]
    return "".join(told.format()).rstrip()


def from_program(trace: TracebackType | None) -> TracebackType | None:
    """Returns the traceback without minipar's frames before the program's first one. An error of minipar
    itself keeps its whole traceback.
    """
    first = trace
    while first and not program_name(first.tb_frame.f_code.co_filename):
        first = first.tb_next
    return first or trace


def interruption(error: KeyboardInterrupt) -> tuple[str, int]:
    """Returns "interrupted" or "stopped by SIGTERM", and the exit status: 128 + the number of the signal. The
    argument of the error is that number. Ctrl-C raises the error without an argument.
    """
    number = error.args[0] if error.args else signal.SIGINT
    if number == signal.SIGINT:
        return "interrupted", 128 + number
    return f"stopped by {signal.Signals(number).name}", 128 + number


def exit_status(code: object) -> int:
    """Returns the exit status for sys.exit(code). The system keeps only 8 bits of it. So a failure such as
    256, whose lowest 8 bits are 0, gets status 1.
    """
    if not isinstance(code, int):
        return 0 if code is None else 1
    return code & 0xFF or int(code != 0)


def raise_loose_ends(pages: Sequence[LedgerPage]) -> None:
    """Compares the ledgers of all ranks. Raises CommError if there are loose ends.
    """
    if found := loose_ends(pages):
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise CommError(f"the program has ended, but {'; '.join(found[:SHOWN])}{more}",
                        kind="loose ends", count=len(found))
