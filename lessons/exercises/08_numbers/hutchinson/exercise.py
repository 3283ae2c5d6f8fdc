import numpy as np

from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    n, k = size
    half = rng.standard_normal((n, n))
    return [(half + half.T, rng.choice([-1.0, 1.0], (k, n)))]


def estimate(form):
    def reference(ranks, arguments):
        H, signs = arguments[0]
        return [{"diagonal": form(signs, signs @ H.T), "products": len(signs)}]
    return reference


EXERCISE = Exercise(
    kind="write", minutes=10, lesson="11", function="diagonal", comm="",
    goal="read a diagonal from products with vectors",
    cases={"plain": (4, 3), "one vector": (5, 1), "many vectors": (3, 40)}, inputs=inputs,
    reference=estimate(lambda z, Hz: (z * Hz).mean(axis=0)), mistakes={
        "the result is the mean of H z\nmultiply by z: then the other products cancel on average": estimate(lambda z, Hz: Hz.mean(axis=0)),
        "the result is a sum over the vectors\nthe task asks for the mean": estimate(lambda z, Hz: (z * Hz).sum(axis=0)),
        "every element is the mean of z * (H z) over all elements\nwhich axis is averaged? one value for each element": estimate(
            lambda z, Hz: np.full(z.shape[1], (z * Hz).mean()))},
    library="minipar/compress/prune/__init__.py")
