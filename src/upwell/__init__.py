"""Upwell turns a product's users into its model's advantage."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("upwell")
