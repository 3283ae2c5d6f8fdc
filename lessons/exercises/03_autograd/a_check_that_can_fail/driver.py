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


def drive(submission, comm, w, x):
    accepted = [bool(submission.is_right(f, gradient, x.copy())) for f, gradient in families(w)]
    passed = {
        name: float(
            sum(bool(submission.is_right(f, mutant(gradient), x.copy())) for f, gradient in families(w))
        )
        for name, mutant in MUTANTS.items()
    }
    return {"right gradients accepted": float(sum(accepted)), **passed}
