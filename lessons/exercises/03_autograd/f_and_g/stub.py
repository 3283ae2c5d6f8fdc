from minipar.autograd import Tensor, record
from minipar.comm.collectives import all_reduce


def f(x: Tensor, comm) -> Tensor:
    """Enters the layers that are cut over the ranks of comm."""
    raise NotImplementedError("write f: which direction is the identity?")


def g(x: Tensor, comm) -> Tensor:
    """Leaves them: x is this rank's part of a sum."""
    raise NotImplementedError("write g: which direction is the identity?")
