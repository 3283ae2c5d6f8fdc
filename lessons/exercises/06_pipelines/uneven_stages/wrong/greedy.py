"""Fills each stage up to the mean: the last one gets what is left.

fails: values
says: slowest
"""


def stage_layers(times, stages):
    goal, counts, used = sum(times) / stages, [], 0
    for stage in range(stages - 1):
        count, time = 1, times[used]
        while used + count < len(times) - (stages - 1 - stage) and time + times[used + count] <= goal:
            time += times[used + count]
            count += 1
        counts.append(count)
        used += count
    return [*counts, len(times) - used]
