from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    columns = max(d for d in range(1, ranks + 1) if ranks % d == 0 and d <= size)
    return [(float(rng.standard_normal()), columns) for _ in range(ranks)]


def reference(ranks, arguments):
    columns = arguments[0][1]
    x = [one for one, _ in arguments]
    return [
        (sum(x[rank // columns * columns :][:columns]), sum(x[rank % columns :: columns]))
        for rank in range(ranks)
    ]


def par(ranks, arguments):
    """Two all-reduces of one number, over a row and over a column."""
    return Par(messages=4 * ranks)


EXERCISE = Exercise(
    kind="write", minutes=10, lesson="0", function="sums", comm="mpi4py",
    goal="give every rank a row and a column, as layouts of several axes do",
    prerequisites=("hello_in_order",), requires=("Split",), version=2,
    cases={"two columns": 2, "one row": 5, "one column": 1}, inputs=inputs, reference=reference, par=par,
    library="minipar/parallel/grid.py")
