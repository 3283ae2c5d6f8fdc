def spans(tags):
    """One line "X first last" for each name. tags: "O", "B-X" or "I-X"."""
    raise NotImplementedError("write spans: at which word does a name begin?")
