import numpy.ma  # noqa: F401  NumPy imports this module on its first use. It must not count as memory of the call.


def drive(submission, comm, w, pieces):
    return submission.accumulate(w, pieces)
