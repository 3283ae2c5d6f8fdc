"""Generates text with a trained model.

Read generate.py (one text) and kv_cache.py first. Then read engine.py, which computes many requests together:
requests.py, sequence.py, batch.py, blocks.py, memory.py, scheduler.py and runner.py define its parts.
queueing/ studies streams of requests.
"""
