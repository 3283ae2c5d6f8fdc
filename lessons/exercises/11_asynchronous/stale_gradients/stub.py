import numpy as np


def replay(w, curvature, pulled, lr):
    """(the last version of the weights [n], the age of each gradient, int64 [updates])."""
    raise NotImplementedError("write replay: begin with a list of versions that holds w")
