import numpy as np

from minipar.exercises import Exercise


def drawn(rng, n, k, goal):
    half = rng.standard_normal((n, n))
    return half @ half.T, rng.choice([-1.0, 1.0], (k, n)), rng.standard_normal(n), goal


def inputs(ranks, rng, size):
    """size: n, k, goal, and whether an agreement must fall below the goal again after one has reached it."""
    *sizes, falls = size
    while True:
        arguments = [drawn(rng, *sizes)]
        agreement = found()(ranks, arguments)[0]["agreement"]
        if not falls or first_above(agreement, sizes[-1]) < last_below(agreement, sizes[-1]):
            return arguments


def means(terms):
    """[k, n]: the mean of the first j + 1 rows of terms [k, n], for each j."""
    return np.stack([terms[:end].mean(axis=0) for end in range(1, len(terms) + 1)])


def ranks_of(scores):
    return [sum(other < one for other in scores.tolist()) for one in scores.tolist()]


def last_below(agreement, goal):
    return max((number for number, one in enumerate(agreement, 1) if one < goal), default=0) + 1


def first_above(agreement, goal):
    return next((number for number, one in enumerate(agreement, 1) if one >= goal), len(agreement) + 1)


def found(estimates=means, ranked=ranks_of, needed=last_below, score=lambda h, w: h * w**2 / 2):
    """The reference. Each argument is a rule that a known mistake changes."""
    def reference(ranks, arguments):
        H, signs, w, goal = arguments[0]
        wanted = ranked(score(np.diag(H), w))
        agreement = [np.corrcoef(ranked(score(one, w)), wanted)[0, 1] for one in estimates(signs * (signs @ H))]
        return [{"agreement": np.array(agreement), "needed": needed(agreement, goal), "products": len(signs)}]
    return reference


EXERCISE = Exercise(
    kind="write", minutes=20, lesson="11", function="vectors_needed", comm="",
    goal="find out how many samples an estimate needs, from the decision that depends on it",
    prerequisites=("hutchinson",),
    cases={"plain": (7, 12, 0.7, False), "below the goal again": (6, 12, 0.85, True),
           "out of reach": (10, 3, 0.999, False), "one vector is enough": (3, 4, -1.0, False)},
    inputs=inputs, reference=found(), mistakes={
        "each vector is compared alone\nthe estimate is the mean of the first j + 1 vectors":
            found(estimates=lambda terms: terms),
        "the indices of argsort are compared, not ranks\nargsort of argsort gives the ranks": found(ranked=np.argsort),
        "the scores are compared, not their ranks\nSpearman's correlation is that of the ranks":
            found(ranked=lambda scores: scores),
        "'needed' is the first vector that reaches the goal\na later agreement may be below the goal again":
            found(needed=first_above),
        "'needed' is one too small\nelement j of the agreements belongs to j + 1 vectors":
            found(needed=lambda agreement, goal: last_below(agreement, goal) - 1),
        "the order is that of the diagonal alone\nthe score of OBD is H_ii w_i^2 / 2": found(score=lambda h, w: h)},
    library="minipar/compress/prune/importance.py:obd")
