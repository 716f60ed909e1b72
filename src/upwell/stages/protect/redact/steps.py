"""What ``[protect]`` asks for, as steps of protection."""

from __future__ import annotations

from pathlib import Path

from upwell.settings import ProtectSettings
from upwell.stages.protect.redact.columns import Redaction
from upwell.stages.protect.redact.model import token_classifier


def redaction(settings: ProtectSettings, key: bytes, folder: Path) -> tuple[Redaction, ...]:
    """The redaction that ``settings`` ask for; none where it is off.

    ``folder`` is what a relative path of a model begins at.
    """
    if not settings.redact:
        return ()
    detect = token_classifier(settings.model, folder) if settings.model else None
    return (Redaction(key, settings.off, detect),)
