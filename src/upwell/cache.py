"""Where what was fetched or made once is kept for every project of this user."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$UPWELL_CACHE``, else ``~/.cache/upwell``."""
    return Path(os.environ.get("UPWELL_CACHE") or Path.home() / ".cache" / "upwell")
