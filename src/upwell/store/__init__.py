"""Journal, lake and model folders: they keep, they decide nothing."""
