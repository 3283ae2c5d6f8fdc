"""Saves and loads checkpoints: the state of a training on disk.

Reading order:

    atomic.py       writes a file completely or not at all; atomic_folder.py: a folder
    archive.py      one checkpoint file
    contents.py     the required content of a run's checkpoint
    folder.py       all checkpoints of a run
    claim.py        allows one writer at a time
    match.py        compares a checkpoint with a model
    gpt2.py         files of GPT-2 weights; file_layout.py: a folder with one file per rank
"""
