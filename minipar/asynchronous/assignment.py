"""Solves the assignment problem: assign a different column to each row, so that the sum of the costs is
smallest.

The code uses the Hungarian method (Kuhn 1955) with shortest paths and prices (Jonker and Volgenant 1987).
Rows are assigned one after the other. A new row may take the column of another row. That row then takes the
column of a third row, and so on, until a column is free. The search finds the cheapest such path. Each row
and each column has a price. The reduced cost is cost - row price - column price. The prices change so that no
reduced cost becomes negative. So the search can stop at the first free column. For n rows, the time grows
with n**3.
"""

# n: number of rows and of columns

from __future__ import annotations

import numpy as np

from minipar.errors import ShapeError


def assign(costs: np.ndarray) -> np.ndarray:
    """Returns the column of each row, int64 [n], for costs [n, n].

    >>> assign(np.array([[4, 1, 3], [2, 0, 5], [3, 2, 2]])).tolist()    # 1 + 2 + 2
    [1, 0, 2]
    """
    costs = np.asarray(costs, np.float64)
    if costs.ndim != 2 or costs.shape[0] != costs.shape[1] or not np.isfinite(costs).all():
        raise ShapeError(f"assign: a square table of finite costs is needed, not one of shape {costs.shape}")
    n = len(costs)
    row_price, column_price = np.zeros(n), np.zeros(n)
    row_of = np.full(n, -1)                                         # column -> its row, or -1
    for new in range(n):
        distance, previous = np.full(n, np.inf), np.full(n, -1)     # the cheapest path to each column
        reached = np.zeros(n, bool)
        row, column, so_far = new, -1, 0.0
        while row >= 0:
            way = so_far + costs[row] - row_price[row] - column_price
            better = ~reached & (way < distance)
            distance[better], previous[better] = way[better], column
            column = int(np.where(reached, np.inf, distance).argmin())
            so_far, row = distance[column], row_of[column]
            reached[column] = True
        rows = [new, *row_of[reached & (row_of >= 0)]]
        lengths = [0.0, *distance[reached & (row_of >= 0)]]
        row_price[rows] += so_far - np.array(lengths)
        column_price[reached] -= so_far - distance[reached]
        while column >= 0:  # reassign the columns along the path, from its end
            before = previous[column]
            row_of[column] = row_of[before] if before >= 0 else new
            column = before
    columns = np.empty(n, np.int64)
    columns[row_of] = np.arange(n)
    return columns
