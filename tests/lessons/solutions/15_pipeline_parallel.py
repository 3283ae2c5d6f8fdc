# Breadth first reaches the bubble. Groups of p micro-batches, one backward for each forward, reach it with few tapes.

def steps(kind, micros, stages):
    return [Instruction(kind, stage, micro) for stage in stages for micro in micros]

def schedule_of(order, m):
    return Schedule("mine", m, tuple(range(p)) * 2, tuple(tuple(order(r)) for r in range(p)))

def breadth_first(m):
    return schedule_of(lambda r: steps("F", range(m), (r, p + r)) + steps("B", range(m), (p + r, r)), m)

def interleaved(m):
    groups = [range(first, first + p) for first in range(0, m, p)]

    def order(r):
        forwards = [step for group in groups for step in steps("F", group, (r, p + r))]
        backwards = [step for group in groups for step in steps("B", group, (p + r, r))]
        warm = min(2 * m, p + 2 * (p - 1 - r))
        pairs = [step for pair in zip(forwards[warm:], backwards) for step in pair]
        return forwards[:warm] + pairs + backwards[len(forwards) - warm:]

    return schedule_of(order, m)

for m in (p, 2 * p):
    goal = Fraction(p - 1, 2 * m + p - 1)
    assert try_schedule(breadth_first(m)) == (goal, 2 * m)
    assert try_schedule(interleaved(m)) == (goal, min(2 * m, 3 * p - 1))
