"""Signals and histories to frozen, content-addressed rows."""
