"""What a user can do wrong, by name.

Every message says what was given, what was expected and what to do next, in one line. The command line prints that line
to stderr and exits with status 2; anything else that escapes is a bug of minipar and keeps its traceback.
"""


class MiniparError(Exception):
    """A mistake that the user can mend. Subclasses name its kind."""


class ConfigError(MiniparError):
    """A size or an option that cannot be: heads that do not divide the width, an unknown preset."""


class ShapeError(MiniparError):
    """Arrays whose shapes or dtypes do not fit together."""


class RangeError(MiniparError):
    """Numbers that cannot be used so: NaN or infinity to be ranked or rounded to an integer, a sum that may outgrow 32 bits."""


class GraphError(MiniparError):
    """Backward on something that has no graph, or a second time on a graph that is used up."""


class DataError(MiniparError):
    """Text that is missing, empty, not text, or too short."""


class CheckpointError(MiniparError):
    """A checkpoint that is missing, damaged, foreign, or of another model; a folder that cannot be written."""


class DivergenceError(MiniparError):
    """The loss or a gradient became NaN or infinite."""


class LayoutError(MiniparError):
    """Ranks and axes that do not multiply, a layer that cannot be cut among so many ranks."""


class ScheduleError(MiniparError):
    """A pipeline schedule that uses a value before it is there, makes one twice, forgets one, or cannot go on."""


class CommError(MiniparError):
    """Ranks that do not agree: another operation, another shape, a partner that is gone, a deadlock."""
