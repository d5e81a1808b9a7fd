"""Where a statement stands: who may do what with it, and what silence means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from narrows_server.statements.standing import SILENCE, NotPossible, Standing, Step, standing_at, take

SENT_AT = datetime(2026, 12, 4, tzinfo=UTC)


def after(days: int) -> datetime:
    """That many days after it was sent."""
    return SENT_AT + timedelta(days=days)


@pytest.mark.parametrize(
    ("steps", "end"),
    [
        ([Step.SEND, Step.ACCEPT], Standing.ACCEPTED),
        ([Step.SEND, Step.DISPUTE, Step.SUPERSEDE], Standing.SUPERSEDED),
        ([Step.SEND, Step.DISPUTE, Step.ACCEPT, Step.SUPERSEDE], Standing.SUPERSEDED),
    ],
)
def test_a_statement_goes_from_its_draft_to_an_end(steps: list[Step], end: Standing) -> None:
    standing: Standing | NotPossible = Standing.DRAFT
    for step in steps:
        assert isinstance(standing, Standing)
        standing = take(standing, step, sent_at=SENT_AT, now=after(1))
    assert standing is end


def test_ten_days_of_silence_accept_what_was_sent() -> None:
    for days, is_accepted in ((0, False), (SILENCE.days - 1, False), (SILENCE.days, True)):
        standing = standing_at(Standing.SENT, sent_at=SENT_AT, now=after(days))
        assert (standing is Standing.ACCEPTED) is is_accepted


@pytest.mark.parametrize("standing", [Standing.DRAFT, Standing.DISPUTED, Standing.SUPERSEDED])
def test_silence_accepts_nothing_else(standing: Standing) -> None:
    assert standing_at(standing, sent_at=SENT_AT, now=after(100)) is standing


def test_a_dispute_after_the_silence_comes_too_late() -> None:
    assert take(Standing.SENT, Step.DISPUTE, sent_at=SENT_AT, now=after(10)) == NotPossible(
        standing=Standing.ACCEPTED, step=Step.DISPUTE
    )


def test_nothing_follows_what_was_superseded() -> None:
    for step in Step:
        assert isinstance(take(Standing.SUPERSEDED, step, sent_at=SENT_AT, now=after(1)), NotPossible)
