"""Shapes that others have set, a file each: what their clients send, as rows of events."""
