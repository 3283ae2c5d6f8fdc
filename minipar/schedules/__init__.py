"""Pipeline schedules as plain data: generated, proven, simulated, lowered to programs of the ranks, and
drawn.

Reading order:

    instruction.py      what a schedule is; then generators/, the ten schedules
    lower.py            adds sends and receives
    simulate.py         the start and end of every instruction
    lint.py             proves a schedule; contents.py, message_order.py and deadlock.py do the work
    closed_forms.py     formulas of the papers for bubble and memory
    files.py            reads a schedule from a file

Nothing here uses a model, its arrays, or a communicator.
"""
