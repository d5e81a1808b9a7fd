"""Bindings: each kind lets in whom it names, keeps out the rest, and says why."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from narrows_licensing.binding import (
    COMPONENT_NAMES,
    UNBOUND,
    Applications,
    Binding,
    Identity,
    Installation,
    bind_components,
    hash_component,
    read_binding,
)
from narrows_licensing.claims import ClaimReader
from narrows_licensing.errors import LicenseUnreadable
from narrows_licensing.policy import Circumstances, evaluate
from narrows_licensing.signature import thumbprint
from narrows_licensing.testing import NOW, a_key, a_license
from narrows_licensing.verdict import Granted, Reason, Refused

HERE, ELSEWHERE = (thumbprint(a_key(name).public_key()) for name in ("here", "elsewhere"))
SALT = "a-salt-of-22-charactrs"
FACTS = {name: f"the {name} of this machine" for name in COMPONENT_NAMES}


def read(claims: object) -> Binding:
    return read_binding(ClaimReader(claims, error=LicenseUnreadable, path="binding"))


def test_a_license_bound_to_nothing_works_for_whoever_asks() -> None:
    assert UNBOUND.mismatch(Identity()) is None


@pytest.mark.parametrize(
    ("binding", "right", "wrong"),
    [
        (Applications(ids=("com.example.player",)), {"application_id": "com.example.player"}, {"application_id": "x"}),
        (Installation(thumbprint=HERE), {"installation_id": HERE}, {"installation_id": ELSEWHERE}),
        (bind_components(FACTS, required=2, salt=SALT), {"components": FACTS}, {"components": {"board": "another"}}),
    ],
)
def test_the_right_one_is_granted_and_a_wrong_or_silent_one_is_refused_with_the_reason(
    binding: Binding, right: dict[str, Any], wrong: dict[str, Any]
) -> None:
    license = a_license(binding=binding)

    assert isinstance(evaluate(license, Circumstances(now=NOW, identity=Identity(**right))), Granted)
    for identity in (Identity(**wrong), Identity()):
        refused = evaluate(license, Circumstances(now=NOW, identity=identity))
        assert isinstance(refused, Refused)
        assert refused.reason is Reason.WRONG_BINDING


class TestComponents:
    """Six facts were known when the license was made; four of them must be as they were."""

    binding = bind_components(FACTS, required=4, salt=SALT)

    @pytest.mark.parametrize("changed", list(combinations(COMPONENT_NAMES, 2)))
    def test_any_two_facts_may_change(self, changed: tuple[str, str]) -> None:
        facts = FACTS | dict.fromkeys(changed, "new")

        assert self.binding.mismatch(Identity(components=facts)) is None

    @pytest.mark.parametrize("changed", list(combinations(COMPONENT_NAMES, 3)))
    def test_three_may_not_and_they_are_named(self, changed: tuple[str, ...]) -> None:
        mismatch = self.binding.mismatch(Identity(components=FACTS | dict.fromkeys(changed, "new")))

        assert mismatch is not None
        assert all(name in mismatch for name in changed)

    def test_a_fact_that_is_gone_counts_as_changed(self) -> None:
        kept = {name: FACTS[name] for name in COMPONENT_NAMES[:3]}

        assert self.binding.mismatch(Identity(components=kept))

    def test_facts_are_in_no_document_and_two_licenses_can_not_be_compared(self) -> None:
        assert not any(fact in str(self.binding.claims()) for fact in FACTS.values())
        assert hash_component("board", "b", SALT) != hash_component("board", "b", SALT[::-1])
        assert hash_component("board", "b", SALT) != hash_component("disk", "b", SALT)


@pytest.mark.parametrize(
    ("claims", "claim"),
    [
        ("none", "binding"),
        ({"kind": "none", "ids": []}, "binding.ids"),
        ({"kind": "application", "ids": []}, "binding.ids"),
        ({"kind": "application", "ids": ["a b"]}, "binding.ids"),
        ({"kind": "installation", "cnf": {"jkt": "short"}}, "binding.cnf.jkt"),
        ({"kind": "installation", "cnf": {"jkt": HERE, "jwk": {}}}, "binding.cnf.jwk"),
        ({"kind": "components", "required": 1, "salt": SALT, "hashes": {}}, "binding.hashes"),
        ({"kind": "components", "required": 1, "salt": SALT, "hashes": {"iris": "x" * 22}}, "binding.hashes.iris"),
        ({"kind": "components", "required": 2, "salt": SALT, "hashes": {"board": "x" * 22}}, "binding.required"),
        ({"kind": "components", "required": 1, "salt": "", "hashes": {"board": "x" * 22}}, "binding.salt"),
        ({"kind": "workload", "issuer": "http://x", "audience": "n", "keys": [], "subjects": []}, "binding.issuer"),
    ],
)
def test_a_binding_outside_its_limits_is_refused_by_name(claims: object, claim: str) -> None:
    with pytest.raises(LicenseUnreadable) as caught:
        read(claims)

    assert caught.value.claim == claim
