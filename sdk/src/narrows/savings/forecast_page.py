"""A forecast as one HTML page that needs nothing else: for whoever decides, not for whoever measures."""

from __future__ import annotations

from html import escape

from narrows_metering.money import Money
from narrows_metering.tariff import BYTES_PER_GB

from narrows.savings.forecast import Forecast, Row, saved_of

_STYLE = """
body{font:17px/1.5 Georgia,serif;color:#17212b;max-width:44rem;margin:3rem auto;padding:0 1.2rem}
h1{font-size:1.3rem;font-weight:normal;color:#0b6470;margin:0}
.big{font-size:3.2rem;line-height:1.1;margin:.4rem 0}
.quiet{color:#5c6b78}
.bar{background:#e3e9ee;height:1.1rem;margin:.3rem 0 1rem}.bar div{background:#0b6470;height:100%}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.3rem .4rem;border-bottom:1px solid #ccd5dc}
th:first-child,td:first-child{text-align:left;word-break:break-all}
"""


def render(forecast: Forecast) -> str:
    """The page."""
    part = 100 * forecast.saved_bytes // forecast.delivered_bytes if forecast.delivered_bytes else 0
    rows = "".join(_row(row) for row in sorted(forecast.rows, key=lambda row: -row.delivered_bytes))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Savings forecast</title><style>{_STYLE}</style></head><body>
<h1>What Narrows would save, per month</h1>
<p class="big">{_money(forecast.saved)}</p>
<p>Very probably between {_money(forecast.saved_lower)} and {_money(forecast.saved_upper)}, of the
{_money(forecast.cost_now)} that this traffic costs now.</p>
<p>Bytes delivered now: {_gigabytes(forecast.delivered_bytes)}</p><div class="bar"><div style="width:100%"></div></div>
<p>With Narrows, at the same measured quality: {_gigabytes(forecast.delivered_bytes - forecast.saved_bytes)}
({part} % less)</p><div class="bar"><div style="width:{max(0, min(100, 100 - part))}%"></div></div>
<h2>How this was found</h2>
<p>{forecast.measured_count} of {forecast.file_count} videos were encoded with Narrows and with the codec it is compared
with, and compared at exactly the same quality: those that are watched most, and others drawn at random. What they save
was weighed with {forecast.log_days} days of your traffic and priced with your own tariff. Videos on which Narrows needs
more count against it. Traffic of other files, {_gigabytes(forecast.unmatched_bytes)}, was left out.</p>
<table><tr><th>video</th><th>delivered</th><th>Narrows needs</th><th>compared codec needs</th><th>saves</th></tr>
{rows}</table>
<p class="quiet">A forecast, not an invoice: what is billed later is measured again, on what was really delivered.</p>
</body></html>
"""


def _row(row: Row) -> str:
    if not row.baseline_bytes:
        cells = ["–", "no equal quality, counted as nothing"]
    else:
        saved = 100 * saved_of(row) // row.delivered_bytes if row.delivered_bytes else 0
        cells = [f"{row.baseline_bytes:,}", f"{saved} %"]
    texts = [escape(row.name), _gigabytes(row.delivered_bytes), f"{row.payload_bytes:,}", *cells]
    return f"<tr>{''.join(f'<td>{text}</td>' for text in texts)}</tr>\n"


def _money(amount: Money) -> str:
    return escape(str(amount))


def _gigabytes(volume: int) -> str:
    whole, thousandths = divmod(abs(volume) * 1000 // BYTES_PER_GB, 1000)
    return f"{'-' if volume < 0 else ''}{whole:,}.{thousandths:03} GB"
