"""
Standard rates of VAT as dated data: 27 member states of the EU, the United Kingdom, Switzerland and Norway.

Services like ours fall under the standard rate everywhere. A change is one more line; none is ever altered, because
corrections of old months need the rate of then. Sources: European Commission, "Taxes in Europe Database" (TEDB) and
"VAT rates applied in the Member States"; HM Revenue & Customs, "VAT rates"; Swiss Federal Tax Administration, "Steuer-
sätze ab 1.1.2024"; Norwegian Tax Administration, "Rates: value added tax". Rates in force before 2020 are not needed.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final

KNOWN_SINCE: Final = date(2020, 1, 1)

# Country: (first day, per cent), ascending.
_CHANGES: Final[dict[str, tuple[tuple[date, str], ...]]] = {
    "AT": ((KNOWN_SINCE, "20"),),
    "BE": ((KNOWN_SINCE, "21"),),
    "BG": ((KNOWN_SINCE, "20"),),
    "CY": ((KNOWN_SINCE, "19"),),
    "CZ": ((KNOWN_SINCE, "21"),),
    "DE": ((KNOWN_SINCE, "19"), (date(2020, 7, 1), "16"), (date(2021, 1, 1), "19")),
    "DK": ((KNOWN_SINCE, "25"),),
    "EE": ((KNOWN_SINCE, "20"), (date(2024, 1, 1), "22"), (date(2025, 7, 1), "24")),
    "ES": ((KNOWN_SINCE, "21"),),
    "FI": ((KNOWN_SINCE, "24"), (date(2024, 9, 1), "25.5")),
    "FR": ((KNOWN_SINCE, "20"),),
    "GR": ((KNOWN_SINCE, "24"),),
    "HR": ((KNOWN_SINCE, "25"),),
    "HU": ((KNOWN_SINCE, "27"),),
    "IE": ((KNOWN_SINCE, "23"), (date(2020, 9, 1), "21"), (date(2021, 3, 1), "23")),
    "IT": ((KNOWN_SINCE, "22"),),
    "LT": ((KNOWN_SINCE, "21"),),
    "LU": ((KNOWN_SINCE, "17"), (date(2023, 1, 1), "16"), (date(2024, 1, 1), "17")),
    "LV": ((KNOWN_SINCE, "21"),),
    "MT": ((KNOWN_SINCE, "18"),),
    "NL": ((KNOWN_SINCE, "21"),),
    "PL": ((KNOWN_SINCE, "23"),),
    "PT": ((KNOWN_SINCE, "23"),),
    "RO": ((KNOWN_SINCE, "19"), (date(2025, 8, 1), "21")),
    "SE": ((KNOWN_SINCE, "25"),),
    "SI": ((KNOWN_SINCE, "22"),),
    "SK": ((KNOWN_SINCE, "20"), (date(2025, 1, 1), "23")),
    "GB": ((KNOWN_SINCE, "20"),),
    "CH": ((KNOWN_SINCE, "7.7"), (date(2024, 1, 1), "8.1")),
    "NO": ((KNOWN_SINCE, "25"),),
}
COUNTRIES: Final = frozenset(_CHANGES)
EUROPEAN_UNION: Final = COUNTRIES - {"GB", "CH", "NO"}


def standard_rate(country: str, on: date) -> Decimal:
    """The standard rate of *country*, in per cent, on a day. Raises ValueError for a country or a day without one."""
    if country not in _CHANGES:
        raise ValueError(f"the VAT of {country!r} is not known here")
    if on < KNOWN_SINCE:
        raise ValueError(f"VAT rates of days before {KNOWN_SINCE} are not known here")
    return Decimal(next(rate for since, rate in reversed(_CHANGES[country]) if since <= on))
