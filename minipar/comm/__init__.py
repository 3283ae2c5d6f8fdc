"""Communication between ranks. Every byte between ranks passes through one small protocol.

Read protocol.py, then the simplest engine, threads/world.py and threads/engine.py, then
collectives/algorithms/naive.py and the other algorithms. Wrappers are communicators that hold another one:
counting.py, tracing.py, clock.py, faults.py, checking.py. call_site.py, wait_graph.py and ledger.py diagnose
errors of a program. Under MPI, no process has the state of all ranks. There, board.py, detector.py,
stack_probe.py, exit_pipe.py and watcher.py help with the diagnosis. meeting.py and start_guard.py watch the
start of a job, watchdog.py watches calls that wait inside MPI. job.py chooses the engine of a program,
launch.py starts its ranks.
"""
