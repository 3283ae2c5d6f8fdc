"""Is a parallel program the same as a serial one, whoever wrote them?

sharding.py says how an array lies on the ranks, equivalent.py runs both programs, compare.py holds what they
give against each other, and patterns.py says what kind of mistake the difference looks like.
"""
