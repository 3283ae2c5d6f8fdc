"""Ignores an I that continues nothing.

fails: values
says: left out
"""


def spans(tags):
    found, open_type = [], None
    for index, tag in enumerate(tags):
        if tag.startswith("B"):
            found.append([tag[2:], index, index])
            open_type = tag[2:]
        elif tag.startswith("I") and open_type == tag[2:]:
            found[-1][2] = index
        else:
            open_type = None
    return "\n".join(f"{kind} {first} {last}" for kind, first, last in found)
