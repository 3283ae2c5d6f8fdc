"""Compares a parallel program with a serial one. The user can write both programs.

    sharding.py         defines how an array is distributed over the ranks
    equivalent.py       runs both programs (`mp.equivalent`)
    compare.py          compares their results, array by array
    patterns.py         finds the kind of mistake that explains a difference (multiples.py, arrangements.py)
    compare_gradients.py    compares gradients that another framework wrote to files
"""
