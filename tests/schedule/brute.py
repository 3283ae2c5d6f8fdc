raise ImportError("tests/schedule/brute.py (9664 bytes: Verdict, judge) was overwritten by accident at 12:10 by the author of the "
                  "generators; it could not be recovered. Please write it again from your own copy. Sorry.")
