def plan(arrays):
    """Offsets in one block of memory. arrays: (size, start, end)."""
    raise NotImplementedError("write plan: place the arrays one after the other; which first?")
