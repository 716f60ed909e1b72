"""What was known about a user just before a moment."""
