"""For all tests: a busy machine is not a failure, so properties have no deadline."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("narrows", deadline=None)
settings.load_profile("narrows")
