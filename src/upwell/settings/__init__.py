"""``upwell.toml`` and ``UPWELL_*``: environment over file over defaults, checked strictly.

``UPWELL_TUNE__EPOCHS=5`` sets ``epochs`` in ``[tune]``. An unknown or wrong key is refused with
its line and the nearest valid key.
"""

from __future__ import annotations

from upwell.settings.data import (
    AugmentSettings,
    BehaviourSettings,
    DataSettings,
    FeedbackRule,
    ProjectSettings,
    SplitSettings,
    TrustSettings,
)
from upwell.settings.gate import GateSettings
from upwell.settings.guards import GuardSettings
from upwell.settings.http import HttpSettings
from upwell.settings.protect import ProtectSettings
from upwell.settings.section import Section
from upwell.settings.serve import ServeSettings
from upwell.settings.trial import TrialSettings
from upwell.settings.tune import TuneSettings
from upwell.settings.watch import WatchSettings
from upwell.settings.whole import FILE, Settings, load

__all__ = [
    "FILE",
    "AugmentSettings",
    "BehaviourSettings",
    "DataSettings",
    "FeedbackRule",
    "GateSettings",
    "GuardSettings",
    "HttpSettings",
    "ProjectSettings",
    "ProtectSettings",
    "Section",
    "ServeSettings",
    "Settings",
    "SplitSettings",
    "TrialSettings",
    "TrustSettings",
    "TuneSettings",
    "WatchSettings",
    "load",
]
