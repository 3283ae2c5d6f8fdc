"""Communication between ranks. Every byte between ranks passes through one small protocol.

Read protocol.py, then the simplest engine, threads/world.py and threads/engine.py, then
collectives/algorithms/naive.py and the other algorithms. The folders are:

wrappers       communicators that hold another one: counting, tracing, checking, the clock, faults
diagnostics    find the call site, and keep the ledger of requests, for the errors of a program
deadlock       find deadlocks: wait_graph.py for both engines, the other files for MPI, where no process
               has the state of all ranks; meeting.py and start_guard.py watch the start of a job,
               watchdog.py watches calls that wait inside MPI

job.py chooses the engine of a program. The package `minipar.launcher` starts the ranks.
"""
