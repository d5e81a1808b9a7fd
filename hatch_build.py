"""Collects the members' dependencies and console scripts into the private root, so that nothing is written twice."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

MEMBERS = ("licensing", "metering", "sdk", "server")


class WorkspaceHook(MetadataHookInterface):
    """Fills `dependencies` and `scripts` of the root from its four members."""

    def update(self, metadata: dict[str, Any]) -> None:
        projects = [tomllib.loads((Path(self.root) / m / "pyproject.toml").read_text())["project"] for m in MEMBERS]
        siblings = {project["name"] for project in projects}
        wanted = {d for project in projects for d in project.get("dependencies", ())}
        metadata["dependencies"] = sorted(d for d in wanted if d.split("==")[0] not in siblings)
        metadata["scripts"] = {k: v for project in projects for k, v in project.get("scripts", {}).items()}
