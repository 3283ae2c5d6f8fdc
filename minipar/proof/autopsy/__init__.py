"""From the symptoms of a wrong training to the kinds of bug that explain them.

symptoms.py lists the symptoms, bugs.py the symptoms of each mutant and public reports of the bug. autopsy.py
ranks the bugs, and evidence.py finds symptoms in files.
"""
