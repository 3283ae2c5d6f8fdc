"""Lists and compares the runs of `minipar train`, and exports them for TensorBoard.

Read log.py (reads the log of a run), run.py (finds and reads runs), compare.py (compares two runs),
event_file.py (writes TensorBoard's file format) and export.py (writes a run in this format).
"""
