"""
Numbers and dates as people read them, the same in console, invoice and terminal.

For display only: nothing is ever read back or computed from what is written here.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal

from narrows_metering.money import exponent
from narrows_metering.tariff import BYTES_PER_GB

_MINUS = "\u2212"
# The first that is found: every browser also says that it is some of the others.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
_UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


def money(minor: int, currency: str) -> str:
    """`EUR 1,234.56`, with the decimals that the currency has."""
    decimals = exponent(currency)
    whole, fraction = divmod(abs(minor), 10**decimals)
    text = f"{whole:,}" + (f".{fraction:0{decimals}}" if decimals else "")
    return f"{currency} {_MINUS if minor < 0 else ''}{text}"


def major(amount: Decimal, currency: str) -> str:
    """Like `money`, of an amount in major units that the currency can have."""
    return money(int(amount.scaleb(exponent(currency))), currency)


def gigabytes(count: int) -> str:
    """`1,234.568 GB` of 10⁹ bytes, rounded half to even to the megabyte."""
    amount = (Decimal(count) / BYTES_PER_GB).quantize(Decimal("0.001"), ROUND_HALF_EVEN)
    return _signed(amount, "GB")


def volume(count: int) -> str:
    """A number of bytes in the unit that suits it: `12.3 TB`, `845.0 MB`, `17 bytes`."""
    for unit, size in _UNITS:
        if abs(count) >= size:
            return _signed((Decimal(count) / size).quantize(Decimal("0.1"), ROUND_HALF_EVEN), unit)
    return f"{exact(count)} bytes"


def exact(count: int) -> str:
    """`1,234,567`, exactly."""
    return f"{_MINUS if count < 0 else ''}{abs(count):,}"


def missing(head: int, last: int) -> str:
    """`813–815` for what lies behind *head* up to *last*, or `813` for one."""
    first_text, last_text = exact(head + 1), exact(last)
    return first_text if first_text == last_text else f"{first_text}–{last_text}"


def per_cent(part: int, whole: int) -> str:
    """What *part* is of *whole*, to a tenth of a per cent; a dash when there is no whole."""
    if not whole:
        return "–"
    return _signed((Decimal(part) * 100 / whole).quantize(Decimal("0.1"), ROUND_HALF_EVEN), "%")


def day(when: date) -> str:
    """`3 November 2026`."""
    return f"{when.day} {when:%B %Y}"


def brief_day(when: date) -> str:
    """`3 Nov 2026`."""
    return f"{when.day} {when:%b %Y}"


def moment(when: datetime) -> str:
    """`3 Nov 2026, 14:05 UTC`."""
    at = when.astimezone(UTC)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def month(period: str) -> str:
    """`November 2026` for "2026-11"."""
    return f"{date.fromisoformat(f'{period}-01'):%B %Y}"


def months(text: str) -> str:
    """`November 2026` for "2026-11", `November 2026 to October 2027` for "2026-11/2027-10"."""
    return " to ".join(month(one) for one in text.split("/"))


def days(first: str, last: str) -> str:
    """`1 to 30 November 2026` for "2026-11-01" and "2026-11-30"."""
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    if (begin.year, begin.month) == (end.year, end.month):
        return day(end) if begin == end else f"{begin.day} to {day(end)}"
    return f"{day(begin)} to {day(end)}"


def who(actor: str) -> str:
    """A person's address, or what else did it: `finance@example.com`, `admin:root`, `server`."""
    return actor.removeprefix("person:")


def metric(name: str) -> str:
    """`MS-SSIM` for "ms_ssim": as the field writes it."""
    return name.upper().replace("MS_SSIM", "MS-SSIM").replace("_", " ")


def method(name: str) -> str:
    """`M3, census` for "m3_census"."""
    number, _, text = name.partition("_")
    return f"{number.upper()}, {text.replace('_', ' ')}" if text else name


def browser(agent: str) -> str:
    """`Firefox on Windows` for what a browser says of itself; the beginning of that where nothing is known of it."""
    name = next((shown for part, shown in _BROWSERS if part in agent), "")
    system = next((shown for part, shown in _SYSTEMS if part in agent), "")
    return " on ".join(part for part in (name, system) if part) or agent[:60] or "unknown"


def _signed(amount: Decimal, unit: str) -> str:
    return f"{_MINUS if amount < 0 else ''}{abs(amount):,} {unit}"
