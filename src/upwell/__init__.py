"""Upwell turns a product's users into its model's advantage."""

from __future__ import annotations

# Written out, for package metadata take longer to import than all of ``upwell --help``.
__version__ = "0.1.0"
