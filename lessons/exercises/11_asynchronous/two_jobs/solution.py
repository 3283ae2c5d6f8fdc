def share(ranks, jobs):
    """(ranks of job 0, ranks of job 1), so that the later of the two ends is earliest."""
    def end(n, job):
        work, reading, steps = job
        return steps * max(work / n, reading)

    first = min(range(1, ranks), key=lambda n: max(end(n, jobs[0]), end(ranks - n, jobs[1])))
    return first, ranks - first
