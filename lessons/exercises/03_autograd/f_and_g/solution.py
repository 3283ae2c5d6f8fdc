import minipar as mp
from minipar.autograd import record


def f(x: mp.Tensor, comm) -> mp.Tensor:
    """Enters the layers that are cut over the ranks of comm: identity forward, all-reduce backward."""
    return record(x.data, (x,), lambda gradient: (mp.all_reduce(comm, gradient),))


def g(x: mp.Tensor, comm) -> mp.Tensor:
    """Leaves them: all-reduce forward, identity backward."""
    return record(mp.all_reduce(comm, x.data), (x,), lambda gradient: (gradient,))
