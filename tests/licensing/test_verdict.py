"""The words: every reason has its sentence and its next step, and the codes stay what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from narrows_licensing.verdict import EXPLANATIONS, STATES, Reason, Refused, State, as_markdown, explain


def test_the_codes_are_stable() -> None:
    """They stand in logs, in APIs and in customers' programs. A change here is a breaking release."""
    assert set(Reason) == {
        "no_license",
        "unreadable",
        "untrusted_key",
        "revoked",
        "expired",
        "maintenance_ended",
        "sdk_too_old",
        "wrong_binding",
        "no_seat",
        "suspended",
        "unreported_too_long",
        "not_entitled",
        "over_limit",
        "clock_wound_back",
        "not_yet_valid",
    }
    assert set(State) == {"valid", "expiring", "grace"}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_says_what_is_the_matter_and_what_to_do(reason: Reason) -> None:
    refused = Refused(reason=reason, detail="the particulars")

    for text in (refused.sentence, refused.next_step):
        assert text == text.strip()
        assert text[0].isupper()
        assert text.endswith(".")
        assert len(text) <= 120
    assert refused.sentence != refused.next_step


def test_no_two_reasons_read_the_same() -> None:
    assert EXPLANATIONS.keys() == set(Reason)
    assert len({explanation.sentence for explanation in EXPLANATIONS.values()}) == len(Reason)
    assert STATES.keys() == set(State)


def test_every_code_has_its_words_and_nothing_else_has() -> None:
    assert all(explain(code) for code in (*State, *Reason))
    assert explain("expired") == EXPLANATIONS[Reason.EXPIRED]
    assert explain("nonsense") is None


def test_the_reference_page_is_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "license-states.md"

    assert page.read_text() == as_markdown(), (
        "run: python -m narrows_licensing.verdict > docs/reference/license-states.md"
    )
