from minipar.exercises import Exercise


def inputs(ranks, rng, number):
    jobs = [
        (float(rng.integers(10, 200)), float(rng.integers(1, 20)), int(rng.integers(5, 50))) for _ in range(2)
    ]
    return [(8 if number else 2, jobs)]


def end(ranks, job):
    work, reading, steps = job
    return steps * max(work / ranks, reading)


def judge(ranks, arguments, results):
    total, jobs = arguments[0]
    result = results[0]
    if not isinstance(result, tuple) or len(result) != 2 or not all(type(one) is int for one in result):
        return "the result is no pair of whole numbers\nreturn (ranks of job 0, ranks of job 1)"
    if min(result) < 1 or sum(result) > total:
        return (
            f"{result} ranks cannot be taken from {total}\neach job needs 1, and together they have no more"
        )
    best = min(max(end(first, jobs[0]), end(total - first, jobs[1])) for first in range(1, total))
    found = max(end(one, job) for one, job in zip(result, jobs, strict=True))
    if found > best * (1 + 1e-12):
        return (f"both jobs have ended after {found:g} s; {best:g} s can be reached\n"
                "a step takes max(work / ranks, reading): which job gains from one more rank?")
    return ""


EXERCISE = Exercise(
    kind="design", minutes=15, lesson="17", function="share", comm="",
    goal="share ranks between two jobs, one of which may not gain from more",
    cases={f"jobs {number}": number for number in range(1, 13)} | {"two ranks": 0}, inputs=inputs, judge=judge,
    library="minipar/training/elastic.py:choose_layout")
