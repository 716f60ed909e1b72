"""Payloads in, events out; bad rows are kept with their reason."""
