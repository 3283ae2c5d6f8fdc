"""Chooses the next step after an error on a rank, by the text of the error or else by its kind."""

from __future__ import annotations

import re

ADVICE = {  # kind of error -> next step
    "stub": "write the function; `minipar exercise hint` gives a first idea",
    "refused": "see what the task allows",
    "memory": "does an array grow with every step?",
    "comm": "compare what each rank sends with what its partner receives: shape, dtype, tag",
    "stuck": "draw who waits for whom: each send needs its receive, and not all ranks may send first",
    "left": "each send needs a receive, and each request a wait",
    "time": "is there a loop without an end? if not, the machine is busy: check again",
    "died": "an exercise must return",
    "exception": "print the variables of this line: the output is shown rank by rank",
    "exit": "return a value; do not call sys.exit",
}
OWN_NEIGHBOUR = ("with 1 rank, a rank is its own neighbour: in a ring, start the send and the receive "
                 "together; elsewhere, a rank needs no message from itself")
SAME_CALLS = ("every rank must call each collective equally often: is this call in an `if`, or in a loop "
              "whose length differs between the ranks?")
MINIPAR = ("this exercise has minipar's communicator: comm.rank, comm.size, comm.send(array, dest), "
           "comm.recv(out, source), comm.sendrecv(array, dest, out, source)")
COLLECTIVE = r"(broadcast|[Aa]ll|[Rr]educe|[Bb]cast|[Gg]ather|[Ss]catter|[Bb]arrier)"
# (regular expression for the text of an error, next step); the first match is used
HINTS = (
    (r"waits for itself", "which rank do `dest` and `source` name on this rank? print them"),
    (r"names rank", "ranks count from 0 to size - 1: does this neighbour exist? in a ring, is it taken "
                    "modulo size, as in (rank - 1) % size?"),
    (r"never received a message", "does every send have its receive? print dest and source on each rank "
                                  "(range(1, n) ends at n - 1; -1 is MPI.PROC_NULL, no rank; a - 1 % p is "
                                  "a - (1 % p))"),
    (rf"is in {COLLECTIVE}.* has finished|has finished.* is in {COLLECTIVE}", SAME_CALLS),
    (r"do not agree on .*counts", "the ranks' parts differ in length: pass counts=[...], the length of each"),
    (r"do not agree", "all ranks must call the same collective with the same shape, dtype and operation: is "
                      "this array a part of a sum over the ranks at all?"),
    (r"needs a NumPy array, not (float|int)", "x[0] is a number; x[:1] is an array of one element"),
    (r"expecting buffer", "Recv and Sendrecv return nothing: first make an array, np.empty_like(x) for "
                          "example, and pass it as the buffer that receives"),
    (r"has color", "a color is an integer: a // b is one, a / b is a float"),
    (r"rows, but counts=", "counts lists the rows of all ranks' parts: the array needs the rows of all "
                           "ranks, in order"),
    (r"still being received into", "a send and a receive at the same time need two arrays, or two rows"),
    (r"no attribute '(Get_|[Ss]end|[Rr]ecv|Is|Ir|[Aa]ll|[Bb]cast|[Gg]ather|[Rr]educe|[Ss]catter)", MINIPAR),
    (r"missing \d required positional arguments?: .*'out'", MINIPAR),
    (r"missing \d required positional arguments?: .*'(recvbuf|buf)'",
     "methods with a capital letter receive into an array that you make; those without return the object"),
    (r"is still None", "write a number in place of None"),
    (r"SyntaxError|IndentationError|TabError", "look at this line and at the line before"),
    (r"IndexError", "how long is this array on this rank? the last index is its length - 1: print both"),
    (r"NameError", "is this name imported, and spelled like this elsewhere?"),
    (r"ModuleNotFoundError", "an exercise needs NumPy, minipar, and what its stub imports"),
    (r"UnboundLocalError", "is this variable assigned on every path, also with 1 rank?"),
    (r"is not allowed in an exercise", "see what the task allows"),
)


def advice_on(kind: str, text: str, ranks: int) -> str:
    """Return the next step after an error, or "". ranks: the number of ranks in the call."""
    if ranks == 1 and "waits for itself" in text:
        return OWN_NEIGHBOUR
    return next((advice for pattern, advice in HINTS if re.search(pattern, text)), ADVICE.get(kind, ""))
