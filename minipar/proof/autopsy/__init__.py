"""Finds the kinds of bug that explain the symptoms of a wrong training.

symptoms.py lists the symptoms. bugs.py lists the known bugs: for each mutant (planted bug), its symptoms and
public reports of the same kind of bug. autopsy.py sorts the bugs by likelihood. evidence.py finds symptoms in
files.
"""
