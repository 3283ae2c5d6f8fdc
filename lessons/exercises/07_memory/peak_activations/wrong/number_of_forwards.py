"""Counts all forwards, as if nothing were ever freed.

fails: values
says: result
"""


def peaks(orders):
    return [order.count("F") for order in orders]
