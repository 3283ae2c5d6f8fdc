def peaks(orders):
    """The largest number of micro-batches that each rank keeps at once."""
    frees = "W" if any("W" in order for order in orders) else "B"
    found = []
    for order in orders:
        kept = most = 0
        for word in order.split():
            if word[0] == "F":
                kept += 1
                most = max(most, kept)
            elif word[0] == frees:
                kept -= 1
        found.append(most)
    return found
