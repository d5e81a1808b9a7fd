"""
What a credit note takes back, to the unit. Pure: documents and amounts in, lines and subtotals out.

Tax is credited cumulatively: of each group of lines, the tax on all that has been credited so far is computed as the
invoice computed its own, and what earlier notes took back is subtracted. So whatever the parts are, once everything is
credited the notes add up to the invoice exactly, in every group. Rounding each note by itself would miss by a cent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from narrows_server.errors import Invalid
from narrows_server.tax.breakdown import Subtotal, tax_of
from narrows_server.tax.treatment import Category, Treatment


@dataclass(frozen=True, slots=True, kw_only=True)
class Credited:
    """The lines of a credit note, as they stand in its document, and its subtotals. Positive amounts are given back."""

    lines: tuple[dict[str, Any], ...]
    subtotals: tuple[Subtotal, ...]

    @property
    def net_minor(self) -> int:
        return sum(subtotal.base_minor for subtotal in self.subtotals)

    @property
    def tax_minor(self) -> int:
        return sum(subtotal.tax_minor for subtotal in self.subtotals)

    @property
    def total_minor(self) -> int:
        return self.net_minor + self.tax_minor


def remaining(invoice: Mapping[str, Any], notes: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """By the id of each line of *invoice*, its net amount that no note has credited yet; minor units."""
    left = {line["id"]: line["net_minor"] for line in invoice["lines"]}
    for note in notes:
        for line in note["lines"]:
            left[line["of_line"]] -= line["net_minor"]
    return left


def credit_lines(
    invoice: Mapping[str, Any], notes: Sequence[Mapping[str, Any]], parts: Mapping[int, int] | None
) -> Credited:
    """
    What the next credit note of *invoice*, after *notes*, takes back: *parts* of its lines, or all that is left.

    A part has the sign of its line: crediting a deduction takes back the deduction. Raises `Invalid` for more than is
    left of a line, and for a note that would bring the notes above the invoice.
    """
    left = remaining(invoice, notes)
    chosen = {line: amount for line, amount in left.items() if amount} if parts is None else dict(parts)
    by_id = {line["id"]: line for line in invoice["lines"]}
    for line, amount in chosen.items():
        if line not in by_id:
            raise Invalid(f"invoice {invoice['number']} has no line {line}")
        if amount == 0 or amount * left[line] <= 0 or abs(amount) > abs(left[line]):
            raise Invalid(f"line {line} of invoice {invoice['number']}: {amount} is not a part of {left[line]}")
    if not chosen:
        raise Invalid(f"nothing of invoice {invoice['number']} is left to be credited")
    lines = tuple(
        {**by_id[line], "id": position, "of_line": line, "net_minor": chosen[line]}
        for position, line in enumerate(sorted(chosen), start=1)
    )
    credited = Credited(lines=lines, subtotals=_subtotals(lines, notes))
    before = sum(note["total_minor"] for note in notes)
    if credited.total_minor < 0 or before + credited.total_minor > invoice["total_minor"]:
        raise Invalid(
            f"credit notes over invoice {invoice['number']} would come to {before + credited.total_minor}, "
            f"not to between {before} and {invoice['total_minor']}; credit its deductions with it"
        )
    return credited


def _subtotals(lines: Sequence[Mapping[str, Any]], notes: Sequence[Mapping[str, Any]]) -> tuple[Subtotal, ...]:
    bases: dict[Treatment, int] = {}
    for line in lines:
        treatment = Treatment(category=Category(line["category"]), rate=Decimal(line["rate"]))
        bases[treatment] = bases.get(treatment, 0) + line["net_minor"]
    earlier = [Subtotal.from_dict(subtotal) for note in notes for subtotal in note["taxes"]]
    subtotals = []
    for treatment, base in sorted(bases.items(), key=lambda entry: (entry[0].category, entry[0].rate)):
        same = [subtotal for subtotal in earlier if subtotal.treatment == treatment]
        tax_so_far = tax_of(sum(subtotal.base_minor for subtotal in same) + base, treatment.rate)
        tax = tax_so_far - sum(subtotal.tax_minor for subtotal in same)
        subtotals.append(Subtotal(treatment=treatment, base_minor=base, tax_minor=tax))
    return tuple(subtotals)
