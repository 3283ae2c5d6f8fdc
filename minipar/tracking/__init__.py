"""Run tracking: lists and compares the runs of `minipar train`, and exports them for TensorBoard.

Read log.py (the log of a run, checked), run.py (a run; the runs below a folder), compare.py (two runs),
event_file.py (the file format of TensorBoard) and export.py (a run as such a file).
"""
