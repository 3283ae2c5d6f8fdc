from minipar.autograd import Tensor, record
from minipar.comm.collectives import all_reduce


def f(x: Tensor, comm) -> Tensor:
    """Enters the layers that are cut over the ranks of comm: identity forward, all-reduce backward."""
    return record(x.data, (x,), lambda gradient: (all_reduce(comm, gradient),))


def g(x: Tensor, comm) -> Tensor:
    """Leaves them: all-reduce forward, identity backward."""
    return record(all_reduce(comm, x.data), (x,), lambda gradient: (gradient,))
