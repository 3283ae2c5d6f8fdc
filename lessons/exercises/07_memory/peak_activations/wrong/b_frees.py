"""Lets B free everything, also where W still needs it.

fails: values
says: result
"""


def peaks(orders):
    found = []
    for order in orders:
        kept = most = 0
        for word in order.split():
            kept += {"F": 1, "B": -1, "W": 0}[word[0]]
            most = max(most, kept)
        found.append(most)
    return found
