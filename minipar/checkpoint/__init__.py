"""Saves and loads checkpoints: the state of a training run on disk.

Reading order:

    atomic.py         writes a file completely or not at all
    atomic_folder.py  writes a folder completely or not at all
    archive.py        writes and reads one checkpoint file
    contents.py       checks the content of a run's checkpoint
    folder.py         manages all checkpoints of a run
    claim.py          allows one writer at a time
    match.py          compares a checkpoint with a model
    gpt2.py           reads and writes files of GPT-2 weights
    file_layout.py    reads a folder with one file per rank
"""
