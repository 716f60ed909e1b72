"""Is the challenger better? Metrics with paired intervals."""
