"""What ``make test-forget`` is made of."""
