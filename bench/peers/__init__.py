"""The peers of the recommendation bench: an environment of their own, a subprocess a run."""
