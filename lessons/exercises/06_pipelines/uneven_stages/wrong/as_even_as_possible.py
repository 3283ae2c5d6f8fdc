"""Gives each stage equally many layers, whatever they take.

fails: values
says: slowest
"""


def stage_layers(times, stages):
    n = len(times)
    return [n // stages + (stage < n % stages) for stage in range(stages)]
