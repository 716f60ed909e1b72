"""The gate and the registry: what serves, and why."""
