"""Lessons in class: run cell by cell, played with predictions, as slides, as a notebook.

Read cells.py (a lesson is a file of cells), then player.py.
"""
