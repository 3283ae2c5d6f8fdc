"""Shows a lesson in a class: section by section with predictions, as slides, or as a notebook.

Read cells.py first, because a lesson is a file of cells. Then read player.py.
"""
