"""Command line, reports: they translate and decide nothing."""
