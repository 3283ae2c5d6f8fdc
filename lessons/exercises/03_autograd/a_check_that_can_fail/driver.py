import numpy as np


def families(w):
    """(f, gradient) of functions of several sizes."""
    return [(lambda x: float(np.sin(x) @ w), lambda x: np.cos(x) * w),
            (lambda x: 1e6 * float(np.exp(x) @ w), lambda x: 1e6 * np.exp(x) * w),
            (lambda x: 1e-6 * float((x**3) @ w), lambda x: 3e-6 * x**2 * w),
            (lambda x: float(x @ x), lambda x: 2 * x)]


def one_zero(gradient):
    def changed(x):
        g = gradient(x)
        g[np.argmax(np.abs(g))] = 0
        return g
    return changed


def exchanged(gradient):
    def changed(x):
        g = gradient(x)
        i, j = np.argmax(g), np.argmin(g)
        g[i], g[j] = g[j], g[i]
        return g
    return changed


MUTANTS = {"a wrong sign": lambda gradient: lambda x: -gradient(x),
           "a factor of 2": lambda gradient: lambda x: 2 * gradient(x),
           "one element that is zero": one_zero,
           "two elements exchanged": exchanged,
           "an error of 1e-4": lambda gradient: lambda x: gradient(x) * (1 + 1e-4),
           "NaN": lambda gradient: lambda x: gradient(x) * np.nan}


def accepts(submission, f, gradient, x):
    """1.0 if the check accepts this gradient, else 0.0. Raises an error if it does not return a bool."""
    point = x.copy()
    answer = submission.is_right(f, gradient, point)
    if not isinstance(answer, bool | np.bool_):
        raise TypeError(f"{answer!r:.40} is neither True nor False")
    if not np.array_equal(point, x):
        raise ValueError("is_right has changed its argument x")
    return float(answer)


def drive(submission, comm, w, x):
    right = sum(accepts(submission, f, gradient, x) for f, gradient in families(w))
    passed = {name: sum(accepts(submission, f, mutant(gradient), x) for f, gradient in families(w))
              for name, mutant in MUTANTS.items()}
    return {"right gradients accepted": right, **passed}
