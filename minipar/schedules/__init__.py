"""Pipeline schedules as plain data: written down, proven, simulated, lowered to the ranks' programs, drawn.

Read instruction.py, then generators/; lower.py, from which sends and receives follow; simulate.py, when what
happens; lint.py, whether it is right, with contents.py, messages.py and deadlock.py behind it.
closed_forms.py has what the papers say, files.py reads a schedule of your own. Nothing here knows a model, an
array of it, or a communicator.
"""
