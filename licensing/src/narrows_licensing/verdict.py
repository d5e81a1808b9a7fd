"""
The answers to "may this license do that?", and the words for each.

Every outcome is a value with a stable code. The sentence and the next step stand in one table, for the SDK, the
command line, the server's console and the documentation alike (`docs/reference/license-states.md` is made from it by
`python -m narrows_licensing.verdict`). Nothing here decides; see `policy` and `document`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """
    Why a license was refused. The values are stable; programs may compare them.

    In the order in which they are looked for: from what lasts to what passes.
    """

    NO_LICENSE = "no_license"
    UNREADABLE = "unreadable"
    UNTRUSTED_KEY = "untrusted_key"
    REVOKED = "revoked"
    EXPIRED = "expired"
    MAINTENANCE_ENDED = "maintenance_ended"
    SDK_TOO_OLD = "sdk_too_old"
    WRONG_BINDING = "wrong_binding"
    NOT_ENTITLED = "not_entitled"
    OVER_LIMIT = "over_limit"
    NO_SEAT = "no_seat"
    SUSPENDED = "suspended"
    UNREPORTED_TOO_LONG = "unreported_too_long"
    CLOCK_WOUND_BACK = "clock_wound_back"
    NOT_YET_VALID = "not_yet_valid"


class State(StrEnum):
    """How far along a granted license is. All three permit the same."""

    VALID = "valid"
    EXPIRING = "expiring"
    GRACE = "grace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a person reads: what is the matter, and what to do about it."""

    sentence: str
    next_step: str


STATES: Final[dict[State, Explanation]] = {
    State.VALID: Explanation(
        sentence="The license is valid.",
        next_step="Nothing.",
    ),
    State.EXPIRING: Explanation(
        sentence="The license is valid and ends within a month.",
        next_step="Ask your vendor to renew it, and put the new license file in the place of the old one.",
    ),
    State.GRACE: Explanation(
        sentence="The license has expired; everything works until its grace period ends.",
        next_step="Renew it before then: after that, no new encode starts.",
    ),
}

EXPLANATIONS: Final[dict[Reason, Explanation]] = {
    Reason.NO_LICENSE: Explanation(
        sentence="No license was found.",
        next_step="Name the license file that you received from your vendor, or use the built-in development license.",
    ),
    Reason.UNREADABLE: Explanation(
        sentence="The license file cannot be read; it is damaged, was changed, or is not a license file.",
        next_step="Copy the license file again from the original, byte for byte, or ask your vendor for a new one.",
    ),
    Reason.UNTRUSTED_KEY: Explanation(
        sentence="The license was not signed by a key that is trusted here and now.",
        next_step="Check the date of this computer; if it is right, ask your vendor for a current license file.",
    ),
    Reason.REVOKED: Explanation(
        sentence="The license was revoked.",
        next_step="Ask your vendor why, and for a replacement.",
    ),
    Reason.EXPIRED: Explanation(
        sentence="The license and its grace period have ended.",
        next_step="Ask your vendor to renew it, and put the new license file in the place of the old one.",
    ),
    Reason.MAINTENANCE_ENDED: Explanation(
        sentence="This release was published after the maintenance period of the license.",
        next_step="Install the last release within the maintenance period, or renew maintenance.",
    ),
    Reason.SDK_TOO_OLD: Explanation(
        sentence="The license needs a newer release than this one.",
        next_step="Upgrade the narrows package.",
    ),
    Reason.WRONG_BINDING: Explanation(
        sentence="The license is for another application, installation, machine or workload.",
        next_step="Use it where it belongs, or send `narrows license export-request` to your vendor for a transfer.",
    ),
    Reason.NOT_ENTITLED: Explanation(
        sentence="The license does not include this.",
        next_step="Choose one of the presets that the license includes, or ask your vendor to extend it.",
    ),
    Reason.OVER_LIMIT: Explanation(
        sentence="The request is larger than the license permits.",
        next_step="Encode at a smaller size or fewer at once, or ask your vendor to raise the limit.",
    ),
    Reason.NO_SEAT: Explanation(
        sentence="The license is floating, and there is no seat for this encode.",
        next_step="Wait until an encode ends, or ask for more seats. If nobody answers, name a relay in NARROWS_RELAY.",
    ),
    Reason.SUSPENDED: Explanation(
        sentence="The license is suspended.",
        next_step="Settle with your vendor what stands open; a new license file then lifts the suspension.",
    ),
    Reason.UNREPORTED_TOO_LONG: Explanation(
        sentence="Usage has waited for a receipt longer than the license permits.",
        next_step="Run `narrows usage report` where the vendor can be reached.",
    ),
    Reason.CLOCK_WOUND_BACK: Explanation(
        sentence="The clock of this computer is more than a day behind a time that has certainly passed.",
        next_step="Set the date and time of this computer. If they are right again, run `narrows usage report`.",
    ),
    Reason.NOT_YET_VALID: Explanation(
        sentence="The license is not valid yet.",
        next_step="Wait until its first day, or check the date of this computer.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """The license permits it."""

    license_id: str
    state: State
    until: datetime  # When it ends: the expiry, or once that has passed, the end of the grace period.
    is_development: bool  # The output is marked as such and never billed.
    is_over_limit: bool = False  # Beyond what was agreed, and within the overage that the license allows.

    @property
    def sentence(self) -> str:
        """How the license stands, for a person to read."""
        return STATES[self.state].sentence

    @property
    def next_step(self) -> str:
        """What that person may want to do."""
        return STATES[self.state].next_step


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The license doesn't permit it, or there is none that can be used."""

    reason: Reason
    detail: str  # The particulars of this case: which key, which day, which limit.
    license_id: str | None = None  # None where no license could be read.

    @property
    def sentence(self) -> str:
        """What is the matter, for a person to read."""
        return EXPLANATIONS[self.reason].sentence

    @property
    def next_step(self) -> str:
        """What that person can do about it."""
        return EXPLANATIONS[self.reason].next_step


def explain(code: str) -> Explanation | None:
    """Return the words for a code, a state's or a reason's; None for any other."""
    if code in State._value2member_map_:
        return STATES[State(code)]
    return EXPLANATIONS[Reason(code)] if code in Reason._value2member_map_ else None


def as_markdown() -> str:
    """Return the reference page of states and reasons."""
    lines = [
        "# What a license can say",
        "",
        "Made by `python -m narrows_licensing.verdict`; a test holds this page to the code. The codes are stable.",
        "",
        "A license is asked once, when an encoder opens. No answer stops a running encode, and no decode ever asks.",
        "",
        "## Granted",
        "",
        "| state | what it means | what to do |",
        "|---|---|---|",
        *(f"| `{state}` | {text.sentence} | {text.next_step} |" for state, text in STATES.items()),
        "",
        "## Refused",
        "",
        "Looked for from the top: the reason reported is the most permanent of those that hold.",
        "",
        "| reason | what it means | what to do |",
        "|---|---|---|",
        *(f"| `{reason}` | {text.sentence} | {text.next_step} |" for reason, text in EXPLANATIONS.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
