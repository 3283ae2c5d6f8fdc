"""One training step, looked at closely: when each rank computed what and waited for whom, and what its memory held."""
