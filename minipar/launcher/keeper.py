"""The keeper of a rank: a small process between the launcher and the rank, which notes how the rank ended.

    python -m minipar.launcher.keeper FOLDER COMMAND ...

runs the command and waits for it. If a signal ended the command, the file FOLDER/ended.PID then holds the
signal's number. The keeper waits PAUSE seconds before it ends itself: until then, the launcher does not know
of the death, and kills no other rank. It imports nothing of minipar, because it starts with every rank.
"""

import os
import sys
import time

PAUSE = 0.6                                                         # seconds


def main(folder: str, *command: str) -> int:
    """Returns the command's exit status, 128 + its signal's number if a signal ended it."""
    child = os.posix_spawn(command[0], list(command), os.environ)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status >= 0:
        return status
    with open(os.path.join(folder, f"ended.{os.getpid()}"), "w", encoding="ascii") as file:
        file.write(str(-status))
    time.sleep(PAUSE)
    return 128 - status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
