"""Tests of the book and of its players, in a headless Chromium: `make book-test`. `make test` leaves them
out.
"""
