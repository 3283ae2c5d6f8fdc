"""Communication between ranks. Every byte between ranks passes through one small protocol.

Read protocol.py, then the simplest engine, threads/world.py and threads/engine.py, then
collectives/algorithms/naive.py and the other algorithms. The folders are:

wrappers       communicators that hold another one: counting, tracing, checking, the clock, faults
diagnostics    finds the line of a call, and records messages and requests, for error messages
deadlock       finds deadlocks. wait_graph.py serves both engines. The other files are for MPI, where no
               process has the state of all ranks. meeting.py and start_guard.py watch the start of a
               job, and watchdog.py watches calls that wait inside the MPI library

job.py chooses the engine of a program. The package `minipar.launcher` starts the ranks.
"""
