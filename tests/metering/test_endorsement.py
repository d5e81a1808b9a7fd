"""Signatures under a statement: who signed, and that nothing was changed since."""

from __future__ import annotations

from typing import Any

import pytest
from narrows_licensing.signature import thumbprint
from narrows_metering.endorsement import Signer, check_endorsements, endorse, signed_bytes
from narrows_metering.errors import StatementRefused
from narrows_metering.testing import a_key

STATEMENT: dict[str, Any] = {"share": 340, "signatures": {"vendor": None, "customer": None}}


def test_vendor_and_customer_sign_the_same_bytes_one_after_the_other() -> None:
    sent = endorse(STATEMENT, Signer.VENDOR, a_key("vendor"))
    accepted = endorse(sent, Signer.CUSTOMER, a_key("customer"))

    assert signed_bytes(accepted) == signed_bytes(STATEMENT)
    assert check_endorsements(STATEMENT) == {}
    assert check_endorsements(accepted) == {
        Signer.VENDOR: thumbprint(a_key("vendor").public_key()),
        Signer.CUSTOMER: thumbprint(a_key("customer").public_key()),
    }


def test_a_statement_that_was_changed_after_it_was_signed_is_refused_by_name() -> None:
    sent = endorse(STATEMENT, Signer.VENDOR, a_key("vendor"))
    with pytest.raises(StatementRefused, match=r"^/signatures/vendor: "):
        check_endorsements({**sent, "share": 341})


def test_another_key_in_the_place_of_the_signers_is_refused() -> None:
    sent = endorse(STATEMENT, Signer.VENDOR, a_key("vendor"))
    other = endorse(STATEMENT, Signer.VENDOR, a_key("other"))["signatures"]["vendor"]
    sent["signatures"]["vendor"] = {**sent["signatures"]["vendor"], "public_key": other["public_key"]}
    with pytest.raises(StatementRefused, match=r"^/signatures/vendor: "):
        check_endorsements(sent)


@pytest.mark.parametrize(
    "signatures", [None, [], {}, {"vendor": None}, {"vendor": 1, "customer": None}, {"vendor": {}, "customer": None}]
)
def test_what_is_no_list_of_signatures_is_refused(signatures: object) -> None:
    with pytest.raises(StatementRefused, match=r"^/signatures"):
        check_endorsements({**STATEMENT, "signatures": signatures})
