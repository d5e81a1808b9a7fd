"""Numbers and dates as people read them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from narrows_server import wording


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (0, "EUR", "EUR 0.00"),
        (5, "EUR", "EUR 0.05"),
        (123_456_789, "EUR", "EUR 1,234,567.89"),
        (-1_205, "EUR", "EUR −12.05"),
        (-5, "EUR", "EUR −0.05"),
        (1_234, "JPY", "JPY 1,234"),
        (1_234_567, "KWD", "KWD 1,234.567"),
    ],
)
def test_money_has_the_decimals_of_its_currency(minor: int, currency: str, text: str) -> None:
    assert wording.money(minor, currency) == text


@pytest.mark.parametrize(
    ("count", "gigabytes", "volume"),
    [
        (0, "0.000 GB", "0 bytes"),
        (999, "0.000 GB", "999 bytes"),
        (1_234_567_890_123, "1,234.568 GB", "1.2 TB"),
        (-1_500_000, "−0.002 GB", "−1.5 MB"),
    ],
)
def test_volumes_are_decimal(count: int, gigabytes: str, volume: str) -> None:
    assert (wording.gigabytes(count), wording.volume(count)) == (gigabytes, volume)


def test_times_say_their_zone() -> None:
    assert wording.moment(datetime(2026, 11, 3, 9, 5, tzinfo=UTC)) == "3 Nov 2026, 09:05 UTC"
    assert wording.month("2026-11") == "November 2026"


def test_periods_are_read_as_months_and_days() -> None:
    assert wording.months("2026-11/2027-10") == "November 2026 to October 2027"
    assert wording.days("2026-11-01", "2026-11-30") == "1 to 30 November 2026"
    assert wording.days("2026-12-31", "2027-01-01") == "31 December 2026 to 1 January 2027"
    assert wording.days("2026-11-02", "2026-11-02") == "2 November 2026"


def test_a_part_of_nothing_is_a_dash() -> None:
    assert (wording.per_cent(1, 3), wording.per_cent(-1, 4), wording.per_cent(0, 0)) == ("33.3 %", "−25.0 %", "–")


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0 Safari/537.36",
            "Chrome on Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36 Edg/141.0",
            "Edge on Windows",
        ),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on macOS"),
        ("curl/8.5", "curl/8.5"),
        ("", "unknown"),
    ],
)
def test_a_browser_is_named_and_not_quoted(agent: str, shown: str) -> None:
    assert wording.browser(agent) == shown


def test_names_of_the_field_are_written_as_the_field_writes_them() -> None:
    assert wording.metric("ms_ssim") == "MS-SSIM"
    assert wording.metric("psnr") == "PSNR"
    assert wording.method("m3_census") == "M3, census"
    assert wording.major(Decimal("10000"), "EUR") == "EUR 10,000.00"
    assert wording.who("person:finance@narrows.example") == "finance@narrows.example"
    assert wording.brief_day(date(2026, 11, 3)) == "3 Nov 2026"
