import numpy as np


def replay(w, curvature, pulled, lr):
    """(the last version of the weights [n], the age of each gradient, int64 [updates])."""
    versions = [w]
    ages = np.arange(len(pulled)) - np.array(pulled, np.int64)
    for version, age in zip(pulled, ages, strict=True):
        gradient = curvature * versions[version]
        versions.append(versions[-1] - lr / (1 + age) * gradient)
    return versions[-1], ages
