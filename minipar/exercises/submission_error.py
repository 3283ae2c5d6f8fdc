"""What is said of a submission that cannot be called."""


class SubmissionError(Exception):
    """The file lacks what it must define."""
