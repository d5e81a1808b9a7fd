"""Who sends invoices and who gets them: what is checked as they are set up, and how a VAT id comes to count."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from narrows_server.customers.service import require_customer
from narrows_server.errors import AlreadyExists, Invalid, NotFound
from narrows_server.office import Office
from narrows_server.parties import repository, service
from narrows_server.parties.party import Seller
from narrows_server.parties.vat_id import read_vat_id
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from .builders import NOW, VENDOR, a_contract, an_occasion

PARIS = Seller(name="Narrows SAS", country="fr", vat_id="FR 40 303 265 045", iban="FR76 3000 6000 0112 3456 7890 189")


class TestVatIds:
    @pytest.mark.parametrize(
        ("text", "country", "compact"),
        [
            ("DE 136 695 976", "DE", "DE136695976"),
            ("EL094259216", "GR", "EL094259216"),
            ("094259216", "GR", "EL094259216"),
            ("CHE-107.787.577 IVA", "CH", "CHE107787577IVA"),
            ("NO 995525828 MVA", "NO", "NO995525828MVA"),
            ("GB980780684", "GB", "GB980780684"),
            ("XI980780684", "GB", "XI980780684"),
            ("atu13585627", "AT", "ATU13585627"),
        ],
    )
    def test_are_read_in_their_compact_form(self, text: str, country: str, compact: str) -> None:
        read = read_vat_id(text, country=country)

        assert (read.text, read.country) == (compact, country)

    @pytest.mark.parametrize("text", ["DE136695970", "FR00303265045", "US123456789", "SE5566", "", "12"])
    def test_with_wrong_digits_or_of_no_country_are_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="VAT id"):
            read_vat_id(text)


class TestEntities:
    def test_are_kept_with_their_numbers_in_compact_form(self, office: Office) -> None:
        with office.database.transaction() as session:
            entity = service.add_entity(session, PARIS, occasion=an_occasion())

            assert (entity.id, entity.country, entity.vat_id) == ("narrows-sas", "FR", "FR40303265045")
            assert entity.iban == "FR7630006000011234567890189"
            with pytest.raises(AlreadyExists):
                service.add_entity(session, PARIS, occasion=an_occasion())

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"iban": "DE02120300000000202052"}, "IBAN"),
            ({"bic": "XX"}, "BIC"),
            ({"vat_id": "DE136695970"}, "no VAT id of DE"),
            ({"country": "Germany"}, "ISO 3166-1"),
            ({"base_currency": "XYZ"}, "currency"),
            ({"name": " "}, "needs a name"),
            ({"address": ("x",) * 7}, "at most 6 lines"),
        ],
    )
    def test_with_what_cannot_be_are_refused(self, office: Office, change: dict[str, object], complaint: str) -> None:
        with office.database.transaction() as session, pytest.raises(Invalid, match=complaint):
            service.add_entity(session, replace(VENDOR, **change), entity_id="x", occasion=an_occasion())  # type: ignore[arg-type]

    def test_the_first_one_is_the_default(self, office: Office) -> None:
        with office.database.transaction() as session:
            service.add_entity(session, PARIS, occasion=an_occasion(NOW + timedelta(days=1)))
            assert service.default_entity(session).id == "vendor"
            with pytest.raises(NotFound):
                service.require_entity(session, "nobody")


class TestProfiles:
    def test_a_tax_id_that_is_a_vat_id_counts_as_one(self, office: Office) -> None:
        a_contract(office)
        with office.database.transaction() as session:
            buyer = service.buyer_of(session, require_customer(session, "kanal"))

            assert (buyer.country, buyer.vat_id, buyer.tax_id) == ("SE", "SE556677889901", None)

    def test_a_vat_id_is_checked_and_the_check_is_kept_for_good(self, office: Office) -> None:
        a_contract(office)
        with office.database.transaction() as session:
            service.set_profile(session, "kanal", vat_id="DE 136695976", occasion=an_occasion())
            buyer = service.buyer_of(session, require_customer(session, "kanal"))
            (check,) = repository.list_checks(session, "kanal")

            assert (buyer.vat_id, buyer.country) == ("DE136695976", "DE")
            assert (check.vat_id, check.is_valid) == ("DE136695976", True)
            assert check.method.startswith("syntax, python-stdnum")
        for change in ("UPDATE vat_id_check SET is_valid = NOT is_valid", "DELETE FROM vat_id_check"):
            with pytest.raises(IntegrityError, match="never"), office.database.transaction() as session:
                session.execute(text(change))

    def test_the_newest_answer_of_the_authority_decides(self, office: Office) -> None:
        a_contract(office)
        with office.database.transaction() as session:
            buyer = service.buyer_of(session, require_customer(session, "kanal"))
            assert (check := service.evidence_of(session, buyer, an_occasion()))
            assert check.is_valid
            service.record_answer(
                session, "kanal", is_valid=False, consultation_number="W1", detail=None, occasion=an_occasion()
            )
            assert (check := service.evidence_of(session, buyer, an_occasion()))
            assert (check.is_valid, check.consultation_number) == (False, "W1")

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"country": "XX"}, "ISO 3166-1"),
            ({"electronic_address": "nowhere"}, "SCHEME:ID"),
            ({"language": None}, "en or de"),
            ({"vat_id": "SE1"}, "VAT id"),
            ({"language": "fr"}, "en or de"),
            ({"city": "x" * 101}, "at most 100"),
        ],
    )
    def test_what_cannot_be_is_refused(self, office: Office, change: dict[str, str | None], complaint: str) -> None:
        a_contract(office)
        with office.database.transaction() as session, pytest.raises(Invalid, match=complaint):
            service.set_profile(session, "kanal", occasion=an_occasion(), **change)
