from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    return [(rng.uniform(0.5, 2, size), rng.uniform(0.5, 2, size))]


def reference(ranks, arguments):
    """All right gradients are accepted, and no mutant passes."""
    return [{"right gradients accepted": 4.0, "a wrong sign": 0.0, "a factor of 2": 0.0,
             "one element that is zero": 0.0, "two elements exchanged": 0.0, "an error of 1e-4": 0.0, "NaN": 0.0}]


EXERCISE = Exercise(
    kind="prove", minutes=20, lesson="1", function="is_right", comm="",
    goal="write a check, and prove that it can fail",
    prerequisites=("wrong_backward",), cases={"plain": 5, "two elements": 2},
    inputs=inputs, reference=reference, library="minipar/autograd/gradcheck.py:gradcheck")
