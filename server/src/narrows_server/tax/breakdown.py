"""
The VAT of an invoice: one subtotal for each category and rate, as EN 16931 adds up and rounds.

Lines are whole minor units already. Their sum is exact (BR-CO-10); tax is computed once on the sum of each group and
not on lines (BR-CO-17), and rounded half up, away from zero, to the minor unit of the currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Self

from narrows_server.tax.treatment import Category, Treatment


@dataclass(frozen=True, slots=True, kw_only=True)
class Subtotal:
    """What the lines of one category and rate come to; minor units."""

    treatment: Treatment
    base_minor: int
    tax_minor: int

    def to_dict(self) -> dict[str, Any]:
        """As it stands in an invoice's document."""
        return {
            "category": self.treatment.category.value,
            "rate": str(self.treatment.rate),
            "base_minor": self.base_minor,
            "tax_minor": self.tax_minor,
            "reason_code": self.treatment.reason_code,
            "reason": self.treatment.reason,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Read `to_dict`'s result."""
        treatment = Treatment(category=Category(document["category"]), rate=Decimal(document["rate"]))
        return cls(treatment=treatment, base_minor=document["base_minor"], tax_minor=document["tax_minor"])


def tax_of(base_minor: int, rate: Decimal) -> int:
    """The tax on a base, both in minor units. Odd in the base: crediting undoes charging to the unit."""
    return int((base_minor * rate / 100).quantize(Decimal(1), ROUND_HALF_UP))


def break_down(lines: Iterable[tuple[int, Treatment]]) -> tuple[Subtotal, ...]:
    """The subtotals of lines, each its net amount and its treatment; sorted by category and rate."""
    bases: dict[Treatment, int] = {}
    for net_minor, treatment in lines:
        bases[treatment] = bases.get(treatment, 0) + net_minor
    return tuple(
        Subtotal(treatment=treatment, base_minor=base, tax_minor=tax_of(base, treatment.rate))
        for treatment, base in sorted(bases.items(), key=lambda entry: (entry[0].category, entry[0].rate))
    )
