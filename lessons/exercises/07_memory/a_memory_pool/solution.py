def plan(arrays):
    """Offsets in one block of memory. arrays: (size, start, end)."""
    offsets = [0] * len(arrays)
    placed = []
    for number in sorted(range(len(arrays)), key=lambda i: (-arrays[i][0], arrays[i][1])):
        size, start, end = arrays[number]
        taken = sorted((offsets[other], offsets[other] + arrays[other][0]) for other in placed
                       if arrays[other][1] < end and start < arrays[other][2])
        offset = 0
        for low, high in taken:
            if offset + size <= low:
                break
            offset = max(offset, high)
        offsets[number] = offset
        placed.append(number)
    return offsets
