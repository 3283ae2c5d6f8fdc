"""Groups neighbours of one type, and does not look at B.

fails: values
says: two names that touch
"""


def spans(tags):
    found, before = [], None
    for index, tag in enumerate(tags):
        kind = None if tag == "O" else tag[2:]
        if kind is not None:
            if kind != before:
                found.append([kind, index, index])
            found[-1][2] = index
        before = kind
    return "\n".join(f"{kind} {first} {last}" for kind, first, last in found)
