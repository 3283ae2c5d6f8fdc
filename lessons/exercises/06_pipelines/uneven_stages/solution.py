def stage_layers(times, stages):
    """How many layers each stage has, so that the slowest stage is as fast as possible."""
    n = len(times)
    sums = [0]
    for time in times:
        sums.append(sums[-1] + time)
    best = {(0, 0): (0, [])}                                        # (stages, layers) -> slowest, counts
    for stage in range(1, stages + 1):
        for end in range(stage, n + 1):
            best[stage, end] = min(
                (max(best[stage - 1, start][0], sums[end] - sums[start]), [*best[stage - 1, start][1], end - start])
                for start in range(stage - 1, end) if (stage - 1, start) in best)
    return best[stages, n][1]
