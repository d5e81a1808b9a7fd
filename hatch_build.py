"""Collects the members' dependencies and console scripts into the private root, so that nothing is written twice."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

MEMBERS = ("licensing", "metering", "sdk", "server")


class WorkspaceHook(MetadataHookInterface):
    """Fills `dependencies` and `scripts` of the root from its four members."""

    def update(self, metadata: dict[str, Any]) -> None:
        projects = {
            project["name"]: project
            for member in MEMBERS
            for project in [tomllib.loads((Path(self.root) / member / "pyproject.toml").read_text())["project"]]
        }
        wanted: set[str] = set()
        for dependency in [d for project in projects.values() for d in project.get("dependencies", ())]:
            name, *extras = re.split(r"[\[\],]+", dependency.split("==")[0].rstrip("]"))
            if name in projects:
                # A sibling is here already; what its extras need is not.
                wanted.update(d for extra in extras for d in projects[name]["optional-dependencies"][extra])
            else:
                wanted.add(dependency)
        metadata["dependencies"] = sorted(wanted)
        metadata["scripts"] = {k: v for project in projects.values() for k, v in project.get("scripts", {}).items()}
