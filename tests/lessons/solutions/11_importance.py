# The diagonal of the Hessian by Hutchinson's estimate.

def hutchinson(count: int) -> np.ndarray:
    rng, total = stream(0, "signs"), np.zeros(63)
    for _ in range(count):
        z = rng.choice([-1.0, 1.0], 63)
        total += z * bowl.hessian_times(z)
    return total / count

def error(estimate: np.ndarray) -> float:
    return float(np.linalg.norm(estimate - np.diag(hessian)) / np.linalg.norm(np.diag(hessian)))

few, many = hutchinson(4), hutchinson(100)
assert error(many) < 0.2 < error(few)
ranked = agreement(prune.obd({"w": trained}, {"w": many})["w"], actual)
lesson.say(f"{error(few):.2f} {error(many):.2f} {ranked:.3f}")
assert ranked > orders["Fisher"] - 0.02
