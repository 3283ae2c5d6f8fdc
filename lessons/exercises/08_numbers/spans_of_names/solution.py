def spans(tags):
    """One line "X first last" for each name. tags: "O", "B-X" or "I-X"."""
    found, before = [], "O"
    for index, tag in enumerate(tags):
        if tag != "O":
            if tag.startswith("B") or before == "O" or before[2:] != tag[2:]:
                found.append([tag[2:], index, index])
            found[-1][2] = index
        before = tag
    return "\n".join(f"{kind} {first} {last}" for kind, first, last in found)
