"""Pipeline schedules are plain data. They are generated, checked, simulated, lowered to programs, and drawn.

Reading order:

    instruction.py      defines a schedule; generators/ has the ten schedules
    lower.py            adds sends and receives
    simulate.py         computes the start and end of every instruction
    lint.py             proves that a schedule is valid; uses contents.py, message_order.py, deadlock.py
    closed_forms.py     has the formulas of the papers for bubble and memory
    files.py            reads a schedule from a file

This package does not use a model, arrays, or a communicator.
"""
