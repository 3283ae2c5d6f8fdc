"""From what is seen of a wrong training to the kinds of bug that explain it.

symptoms.py says what can be seen, bugs.py what each bug of the zoo shows and who reported it. autopsy.py
ranks the bugs, and evidence.py finds symptoms in files.
"""
