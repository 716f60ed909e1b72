"""Learning from ±1 feedback: a benchmark that others can run; ``docs/en/feedback-benchmark.md``."""
