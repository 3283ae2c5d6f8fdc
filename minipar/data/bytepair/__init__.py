"""Byte-pair encoding merges frequent pairs of tokens into new tokens. The first tokens are single bytes.

Read words.py (splits a text into words), learn.py (learns the merges), merge.py (merges one word),
tokenizer.py (converts text to tokens and back), and alphabet.py (GPT-2's letters for bytes).
checkpoint/tokenizer_files.py reads and writes the files of GPT-2 and Hugging Face.
"""
