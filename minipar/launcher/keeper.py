"""The keeper of a rank is a small process between the launcher and the rank. It records a signal that ends
the rank.

    python -m minipar.launcher.keeper FOLDER COMMAND ...

This command runs COMMAND and waits for it. If a signal ends COMMAND, the keeper writes the number of the
signal to the file FOLDER/ended.PID. Then the keeper waits for PAUSE seconds before it ends. During this time,
the launcher still sees a living process, so it does not kill the other ranks. One keeper starts with every
rank, so it does not import minipar, which takes time.
"""

import os
import sys
import time

PAUSE = 0.6                                                         # in seconds


def main(folder: str, *command: str) -> int:
    """Run the command and return its exit status. If a signal ended the command, the status is 128 + the
    signal's number.
    """
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
