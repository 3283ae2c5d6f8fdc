from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    return [(rng.uniform(0.5, 2, size), rng.uniform(0.5, 2, size))]


FAMILIES = 4  # right gradients, and versions of each mutant


def judge(ranks, arguments, results):
    """All right gradients must be accepted, and no mutant."""
    passed = dict(results[0])
    right = passed.pop("right gradients accepted")
    if right == FAMILIES and any(passed.values()):
        name, count = next((name, count) for name, count in passed.items() if count)
        return (f"is_right accepts {count:.0f} of {FAMILIES} wrong gradients of this kind: {name}\n"
                "which comparison of this gradient with the differences comes out as right? print both")
    if right == 0 and not any(passed.values()):
        return "is_right accepts nothing, not even a right gradient\nprint the differences and gradient(x) side by side"
    if right != FAMILIES:
        return (f"is_right refuses {FAMILIES - right:.0f} of {FAMILIES} right gradients\nare the differences right for "
                "each element? is the limit too small or too large for functions of 1e6 or 1e-6?")
    return ""


EXERCISE = Exercise(
    version=2, kind="prove", minutes=20, lesson="1", function="is_right", comm="",
    goal="write a check, and prove that it can fail",
    prerequisites=("wrong_backward",), cases={"plain": 5, "two elements": 2},
    inputs=inputs, judge=judge, library="minipar/autograd/gradcheck.py:gradcheck")
