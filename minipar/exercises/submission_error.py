"""Defines the error for a submission that cannot be called."""


class SubmissionError(Exception):
    """Raised if the file does not define a required name."""
