"""The project that a command works on."""

from __future__ import annotations

from upwell.interfaces.cli.here import Here
from upwell.store.project import Project, find_project, open_project


def opened(here: Here) -> Project:
    """The project of ``--project``, else the nearest one; the command's end closes its journal.

    Raises SettingsError without one.
    """
    project = open_project(find_project(here.project))
    here.held.callback(project.journal.close)
    return project
