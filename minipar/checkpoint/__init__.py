"""Training state on disk, in the order to read: atomic (all or nothing), archive (one checkpoint), folder (those of a run),
and match (does a checkpoint fit this model?)."""
