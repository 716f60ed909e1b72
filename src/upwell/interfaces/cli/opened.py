"""The project that a command works on."""

from __future__ import annotations

from upwell.interfaces.cli.here import Here
from upwell.store.project import Project, find_project, open_project


def opened(here: Here, *, rotating: bool = False) -> Project:
    """The project of ``--project``, else the nearest one; the command's end closes its journal.

    ``rotating`` is for the one that rotates pseudonyms. Raises SettingsError without a project.
    """
    project = open_project(find_project(here.project), rotating=rotating)
    here.held.callback(project.journal.close)
    return project
