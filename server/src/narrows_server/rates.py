"""How often somebody may ask, as an operator writes it: `6000/minute`."""

from __future__ import annotations

from dataclasses import dataclass

from limits import RateLimitItem, parse

from narrows_server.errors import Invalid

EXAMPLE = "6000/minute"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Requests in a time, in the notation of `limits`. Raises `Invalid` for what is none."""

    per_address: str = "6000/minute"  # A whole company's installations may come from one address.
    per_key: str = "1200/minute"

    def __post_init__(self) -> None:
        for text in (self.per_address, self.per_key):
            _parse(text)

    def items(self) -> tuple[RateLimitItem, RateLimitItem]:
        """By address, and by API key."""
        return _parse(self.per_address), _parse(self.per_key)


def _parse(text: str) -> RateLimitItem:
    try:
        item = parse(text)
    except ValueError as error:
        raise Invalid(f"{text[:40]!r} is not a rate; write it as {EXAMPLE}") from error
    if item.amount < 1:
        raise Invalid(f"{text[:40]!r} would let nobody in; write a rate such as {EXAMPLE}")
    return item
