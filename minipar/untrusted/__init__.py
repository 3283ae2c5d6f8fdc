"""Reads files from outside. Their content is checked before it is used and before memory is allocated for it.

Read files.py (a regular file of a bounded size), text.py (UTF-8), plain.py (JSON with limits), arrays.py (one
.npy), and members.py (.npz, several .npy). These modules check only the format.
The packages that use them (`checkpoint`, `schedules`, `data`, `compress`) check the content.
"""
