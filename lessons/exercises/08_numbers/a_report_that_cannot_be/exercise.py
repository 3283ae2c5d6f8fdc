from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    return [()]


def reference(ranks, arguments):
    a, b = 120, 80
    found_a, found_b = round(0.95 * a), round(0.80 * b)
    called_a = found_a + b - found_b
    precision, accuracy = found_a / called_a, (found_a + found_b) / (a + b)
    possible = int(round(precision, 2) == 0.90 and round(accuracy, 2) == 0.93)
    return [{"FOUND_A": found_a, "FOUND_B": found_b, "CALLED_A": called_a, "PRECISION_A": round(precision, 4),
             "ACCURACY": accuracy, "POSSIBLE": possible}]


EXERCISE = Exercise(
    kind="predict", minutes=10, lesson="3", comm="",
    function="FOUND_A FOUND_B CALLED_A PRECISION_A ACCURACY POSSIBLE",
    goal="check a table without its data", tolerance=1e-3,
    cases={"200 samples": 0}, inputs=inputs, reference=reference, library="lessons/support/metrics.py")
