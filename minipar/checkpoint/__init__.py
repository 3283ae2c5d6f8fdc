"""Training state on disk, in the order to read: atomic (all or nothing), archive (one checkpoint), contents
(what that of a run must hold), folder (those of a run),
claim (one writer at a time), and match (does a checkpoint fit this model?)."""
