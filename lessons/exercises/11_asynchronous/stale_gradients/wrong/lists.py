"""Returns the ages as a list.

fails: runs
says: list
"""


def replay(w, curvature, pulled, lr):
    versions = [w]
    for update, version in enumerate(pulled):
        versions.append(versions[-1] - lr / (1 + update - version) * curvature * versions[version])
    return versions[-1], [update - version for update, version in enumerate(pulled)]
