"""Finds the kinds of bug that explain the symptoms of a wrong training.

symptoms.py lists the symptoms. bugs.py lists the symptoms of each mutant and public reports of its kind of
bug. autopsy.py ranks the bugs. evidence.py finds symptoms in files.
"""
