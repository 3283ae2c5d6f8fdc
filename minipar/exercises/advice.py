"""Chooses the next step after an error on a rank, by the text of the error or else by its kind."""

from __future__ import annotations

import re

ADVICE = {  # kind of error -> next step
    "stub": "write the function; `minipar exercise hint` gives a first idea",
    "refused": "see what the task allows",
    "memory": "does an array grow with every step?",
    "comm": "the message names the call and what it needs: print the arguments of this call",
    "stuck": ("draw which rank waits for which: each send needs a receive, and at least one rank must "
              "receive first"),
    "left": "each send needs a receive, and each request needs a wait",
    "time": "is there a loop that never ends? if not, the machine may be busy: run the check again",
    "died": "the function must return; it must not end its process",
    "exception": "print the variables of this line: the output is shown rank by rank",
    "exit": "return a value; do not call sys.exit",
}
OWN_NEIGHBOUR = ("with 1 rank, the rank is its own neighbour. In a ring, start the send and the receive "
                 "together. In other patterns, a rank needs no message from itself")
SAME_CALLS = ("every rank must call each collective the same number of times: is this call in an `if`, or in "
              "a loop whose length differs between the ranks?")
MINIPAR = ("this exercise uses minipar's communicator: comm.rank, comm.size, comm.send(array, dest), "
           "comm.recv(out, source), comm.sendrecv(array, dest, out, source)")
COLLECTIVES = ("this exercise uses minipar's communicator, which has no methods for collectives: if the task "
               "allows them, call mp.all_reduce(comm, x)")
COLLECTIVE = r"(broadcast|[Aa]ll|[Rr]educe|[Bb]cast|[Gg]ather|[Ss]catter|[Bb]arrier)"
# Each row is (regular expression for the text of an error, next step). The first match is used.
WAITING = (
    (r"waits for itself", "which rank do `dest` and `source` name on this rank? print them"),
    (r"a message came with tag",
     "the tags differ: a receive with tag=1 takes only messages that were sent with tag=1"),
    (rf"is in {COLLECTIVE}.* has finished|has finished.* is in {COLLECTIVE}", SAME_CALLS),
    (rf"cycle of waiting.* is in {COLLECTIVE}",
     "all ranks must call the collectives in the same order, and make their groups in the same order"),
    (r"partners? ha(s|ve) left",
     "no rank sends the message that this rank waits for: which rank should send it? does this rank need "
     "a message at all? is a loop one step too long (range(n) in place of range(1, n))?"),
    (r"cycle of waiting.* is in Wait ",
     "a Wait directly after Isend waits as Send does: first start the receive, then wait for both"),
    (r"cycle of waiting.* is in [Ss]endrecv",
     "the rank that `source` names must have this rank as its dest: which rank sends to this rank?"),
    (r"cycle of waiting(?!.*[Ss]end).*[Rr]ecv",
     "all ranks of the cycle wait for a message, and none has sent one yet: which rank can send first? "
     "Sendrecv starts its send and its receive together"),
    (r"never waited for its",
     "keep the request, and call its Wait() before you read or change the array (wait() for isend, irecv)"),
    (r"never received a message",
     "does every send have its receive? print dest and source on each rank. range(1, n) ends at n - 1; -1 "
     "names no rank (MPI.PROC_NULL)"),
)
CALLS = (
    (r"names rank",
     "the ranks are 0 to size - 1: does this rank exist for every number of ranks? is a loop one step too "
     "long (range(n) ends at n - 1)? in a ring, take the rank modulo size: (rank - 1) % size"),
    (r"outside a job",
     "use the comm that the function gets: MPI.COMM_WORLD exists only while the function runs"),
    (r"do not agree on .*counts",
     "the ranks' parts differ in length: pass counts=[...], the length of each part"),
    (r"do not agree",
     "all ranks must call the same collective with the same shape, dtype and operation: should this array "
     "be summed over the ranks at all?"),
    (r"in different orders:",
     "the first Split of each rank belongs to the first Split of all others, and so on: call them in the "
     "same order on every rank"),
    (r"needs a NumPy array, not (float|int)", "x[0] is a number; x[:1] is an array of one element"),
    (r"needs a NumPy array, not None|needs an array to receive into", MINIPAR),
    (r"needs a NumPy array, not",
     "send an array, and receive into an array: np.array(...) and np.empty(...) make one"),
    (r"non-contiguous", "a column of an array is not contiguous; np.ascontiguousarray copies it"),
    (r"which sent a pickled object",
     "send and recv belong together, and so do Send and Recv: do not mix them"),
    (r"which sent",
     "compare what the sender sends with the array that receives it: number of elements, dtype"),
    (r"attached buffer", "Bsend needs a buffer that you attach first; Sendrecv and Isend do not"),
    (r"has no reduction", "the operation is a text: \"sum\" or \"max\""),
    (r"needs one count", "counts is a list with the number of rows of every rank"),
    (r"expecting 2 to 4 items", "a list is no buffer: receive into an array, np.empty_like(x) for example"),
    (r"expecting buffer.* not int",
     "are the arguments in the right order? name them: dest=, recvbuf=, source="),
    (r"expecting buffer",
     "Recv and Sendrecv return nothing: first make an array, np.empty_like(x) for example, and pass it as "
     "the buffer that receives"),
    (r"has color", "a color is an integer: a // b is one, a / b is a float"),
    (r"rows, but counts=",
     "counts lists the rows of all ranks: the array must have as many rows as their sum, rank by rank"),
    (r"still being received into",
     "a send and a receive at the same time need two different arrays or rows: print the two indices"),
)
PYTHON = (
    (r"the vjp of an op returns",
     "the function that you pass to record returns a tuple, also for one input: the comma of (gradient,) "
     "makes one"),
    (r"not made by an op on a tensor",
     "mp.Tensor(...) begins a new graph, and no gradient passes through it: make the result with record, or "
     "with operations on tensors"),
    (r"module '[\w.]+' has no attribute", "import and call this function as the stub or the task does"),
    (r"no attribute '([Aa]ll|[Bb]cast|[Gg]ather|[Rr]educe|[Ss]catter)", COLLECTIVES),
    (r"no attribute '(Get_|[Ss]end|[Rr]ecv|Is|Ir)", MINIPAR),
    (r"ndarray' object has no attribute '(rank|size|entering)'",
     "comm is the first argument: mp.all_reduce(comm, x)"),
    (r"missing \d required positional arguments?: .*'out'", MINIPAR),
    (r"missing \d required positional arguments?: .*'(recvbuf|buf)'",
     "methods with a capital letter receive into an array that you make; recv and irecv do not"),
    (r"\(\) takes \d+ positional arguments? but",
     "pass the last arguments by name, for example counts=tokens: see the task"),
    (r"it must return a tuple of", "return the results with commas between them: return first, second"),
    (r"does not return what the task asks for",
     "how many values does the function return, and of which type?"),
    (r"is still None", "write a number in place of None"),
    (r"defines no|without a variable", "is this name defined in the file, and spelled as in the stub?"),
    (r"SyntaxError|IndentationError|TabError", "look at this line and at the line before"),
    (r"IndexError: only integers", "what is the type of the index? print it"),
    (r"IndexError: index -", "a negative index counts from the end: should this rank use this index at all?"),
    (r"IndexError", "how long is this array on this rank? the last index is its length - 1: print both"),
    (r"KeyError", "which keys does the dict have on this rank? print them"),
    (r"NameError", "is this name defined or imported, and spelled in the same way there?"),
    (r"ModuleNotFoundError", "an exercise needs only NumPy, minipar, and what its stub imports"),
    (r"UnboundLocalError", "is this variable assigned on every path, also with 1 rank?"),
    (r"could not (be )?broadcast",
     "print the two shapes: is an axis missing, as in a[:, None]? do the ranks' parts differ in length?"),
    (r"matmul",
     "print the two shapes: the last size on the left must be the first size on the right; is a .T "
     "missing?"),
    (r"equal division", "np.array_split also makes parts of different lengths"),
    (r"unsupported operand.*'list'", "a list has no arithmetic: make an array of it, np.array(a)"),
    (r"as an integer", "an integer is needed here: use len(x) in place of x, or // in place of /"),
    (r"NoneType", "a value is None here: a function without `return` returns None"),
    (r"'int' object is not iterable", "`list += x` adds the elements of x; append(x) adds one element"),
    (r"reading standard input", "the function gets all its values as arguments"),
    (r"'Request' object has no attribute", "wait for a request with comm.wait(request)"),
    (r"is not allowed in an exercise", "see what the task allows"),
    (r"has changed its argument", "`x += y` and `x[i] = y` change x itself: work on a copy, x.copy()"),
)
AFTERWARDS = "no line of your file fails: what does your function return? print it before `return`"
PARAMETERS = "keep the parameters of the function as the stub has them"


def advice_on(kind: str, text: str, ranks: int, where: str = "?") -> str:
    """Return the next step after an error, or "". ranks: the number of ranks in the call. where: the line of
    the student's file, "" if none of its lines was reached.
    """
    if ranks == 1 and "waits for itself" in text:
        return OWN_NEIGHBOUR
    if not where and re.match(r"TypeError: \w+\(\) (missing(?!.*'(recvbuf|buf|out)')|takes)", text):
        return PARAMETERS
    rows = (*WAITING, *CALLS, *PYTHON)
    otherwise = AFTERWARDS if kind == "exception" and not where else ADVICE.get(kind, "")
    return next((advice for pattern, advice in rows if re.search(pattern, text)), otherwise)
