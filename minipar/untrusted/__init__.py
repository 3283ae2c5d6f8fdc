"""Files from outside: nothing in them is believed, and nothing is allocated for them, before it is checked.

Read files.py (a regular file of a bounded size), plain.py (JSON with limits), arrays.py (one .npy), and
members.py (.npz: many of them). They know no meaning: what a file must hold, its reader says (`checkpoint`,
`schedule`, `data`, `compress`).
"""
