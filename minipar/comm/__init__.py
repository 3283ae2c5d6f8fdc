"""Ranks and what they say to one another: every byte between them passes through one small protocol.

Read protocol.py, then the engine that is easiest to see through, threads/world.py and threads/engine.py, then
collectives/algorithms/naive.py and on from there. Wrappers are communicators that hold another one:
counting.py, tracing.py, clock.py, faults.py, checking.py. A wrong program explains itself by call_site.py,
wait_graph.py and ledger.py; under MPI, where nobody sees all ranks, with the help of board.py, detector.py,
stack_probe.py, exit_pipe.py and watcher.py. The start of a job is watched by meeting.py and start_guard.py,
calls that wait inside MPI by watchdog.py. job.py chooses the engine of a program, launch.py starts its ranks.
"""
