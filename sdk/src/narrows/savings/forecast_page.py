"""
A forecast as one HTML page that needs nothing else: for whoever decides, not for whoever measures.

It says the answer first, also when the answer is no; then from what to what, how sure, and how it was found.
"""

from __future__ import annotations

from html import escape

from narrows_metering.money import Money
from narrows_metering.tariff import BYTES_PER_GB

from narrows.savings.forecast import Forecast, Row, saved_of

ROWS_SHOWN = 15

_STYLE = """
:root{--ink:#14212b;--quiet:#5b6b77;--line:#d5dde3;--teal:#0b6470;--pale:#d3e6e8;--loss:#a4491f;--paper:#fff}
*{box-sizing:border-box}
body{font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;color:var(--ink);background:var(--paper);
max-width:46rem;margin:2.5rem auto 4rem;padding:0 1.25rem}
h1{font-size:1rem;font-weight:600;color:var(--quiet);margin:0}
h2{font-size:1.05rem;margin:2.6rem 0 .6rem}
.answer{font-size:clamp(1.9rem,6.5vw,3rem);font-weight:650;line-height:1.12;letter-spacing:-.02em;margin:.35rem 0 .6rem}
.saves{color:var(--teal)}.loses{color:var(--loss)}
.sure{font-size:1.1rem;margin:0;max-width:38rem}
.quiet{color:var(--quiet)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(12rem,1fr));gap:1px;background:var(--line);
border:1px solid var(--line);border-radius:.5rem;overflow:hidden;margin:1.8rem 0 0}
dl div{background:var(--paper);padding:.8rem 1rem}
dt{font-size:.85rem;color:var(--quiet)}dd{margin:.1rem 0 0;font-size:1.25rem;font-weight:600}
.bars{display:grid;grid-template-columns:max-content 1fr max-content;gap:.5rem .9rem;align-items:center}
.bar{position:relative;height:1.35rem;background:none}
.bar i{position:absolute;inset:0 auto 0 0;border-radius:.2rem;background:var(--quiet)}
.bar .with{background:var(--teal)}.bar .more{background:var(--loss)}
.bar .span{inset:.15rem auto .15rem auto;border:2px solid var(--ink);border-top:0;border-bottom:0;border-radius:0;
background:linear-gradient(var(--ink),var(--ink)) center/100% 2px no-repeat}
.number{font-variant-numeric:tabular-nums;white-space:nowrap}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
th{font-weight:600;font-size:.82rem;color:var(--quiet);vertical-align:bottom}
th,td{text-align:right;padding:.45rem .5rem;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left;padding-left:0;overflow-wrap:anywhere;min-width:10rem}
td:not(:first-child):not(.quiet){white-space:nowrap}
th:last-child,td:last-child{padding-right:0}
details{margin-top:.6rem}summary{cursor:pointer;color:var(--teal)}
footer{margin-top:2.6rem;padding-top:1rem;border-top:1px solid var(--line);font-size:.92rem}
.scroll{overflow-x:auto}
@media (max-width:34rem){.bars{grid-template-columns:1fr max-content;gap:.2rem .9rem}
.bars .bar{grid-column:1/-1;order:0}.bars>:nth-child(3){order:-1}
.bars>:first-child{order:-2}.bars .then{order:2}.bars .then.bar{order:3}}
@media print{body{margin:0;max-width:none}details>*{display:block}}
"""

_REASONS = {
    "metric_needs_larger_pictures": "pictures too small to be measured",
    "quality_above_ladder": "better than the compared codec gets",
    "quality_below_ladder": "worse than the compared codec gets",
    "not_monotone": "the compared codec's points contradict each other",
    "too_few_points": "too few points of the compared codec",
}


def render(forecast: Forecast) -> str:
    """The page."""
    rows = sorted(forecast.rows, key=lambda row: (-row.delivered_bytes, row.name))
    rest = ""
    if len(rows) > ROWS_SHOWN:
        summary = f"{len(rows) - ROWS_SHOWN} more videos"
        rest = f"<details><summary>{summary}</summary>{_table(rows[ROWS_SHOWN:])}</details>"
    others = ""
    if forecast.unmatched_bytes:
        others = f" Traffic of other files, {_volume(forecast.unmatched_bytes)}, was left out."
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Savings forecast</title><style>{_STYLE}</style></head><body>
<header><h1>What Narrows would save on this library</h1>
{_answer(forecast)}</header>
<dl><div><dt>This traffic costs now</dt><dd class="number">{_money(forecast.cost_now)}</dd></div>
<div><dt>With Narrows</dt><dd class="number">{_money(forecast.cost_now - forecast.saved)}</dd></div>
<div><dt>{"More" if forecast.saved.minor < 0 else "Saved"} in a year</dt>
<dd class="number">{_money(_yearly(forecast.saved))}</dd></div></dl>
<h2>Bytes delivered in a month, at the same measured quality</h2>
{_bars(forecast)}
<h2>How this was found</h2>
<p>{_method(forecast)}{others}</p>
<h2>The videos that were measured</h2>
<div class="scroll">{_table(rows[:ROWS_SHOWN])}{rest}</div>
<footer class="quiet">A forecast, not an invoice. What is billed later is measured again, on what was really delivered,
and only the part that is certain to 95 % is billed.</footer>
</body></html>
"""


def _answer(forecast: Forecast) -> str:
    lower, upper = forecast.saved_lower, forecast.saved_upper
    if forecast.saved.minor > 0:
        kind, text = "saves", f"{_money(forecast.saved)} a month"
    elif forecast.saved.minor < 0:
        kind, text = "loses", f"Nothing yet: it would cost {_money(_negated(forecast.saved))} more a month"
    else:
        kind, text = "", "Nothing, and nothing lost"
    if lower.minor > 0:
        sure = f"Nine times in ten between {_money(lower)} and {_money(upper)}."
    elif upper.minor < 0:
        between = f"{_money(_negated(upper))} and {_money(_negated(lower))} more"
        sure = (
            f"Nine times in ten between {between}. On these videos the compared codec needs fewer bytes, so there is "
            "no reason to switch now."
        )
    else:
        between = f"{_money(_negated(lower))} more and {_money(upper)} less"
        sure = f"Nine times in ten between {between}: measure more videos to know."
    return f'<p class="answer {kind}">{text}</p>\n<p class="sure">{sure}</p>'


def _bars(forecast: Forecast) -> str:
    now, then = forecast.delivered_bytes, forecast.delivered_bytes - forecast.saved_bytes
    least, most = now - forecast.saved_bytes_upper, now - forecast.saved_bytes_lower
    longest = max(now, then, most, 1)
    kind = "with" if then <= now else "more"
    span = f'<i class="span" style="left:{_part(least, longest)};width:{_part(most - least, longest)}"></i>'
    return f"""<div class="bars">
<span>Now</span><span class="bar"><i style="width:{_part(now, longest)}"></i></span>
<span class="number">{_volume(now)}</span>
<span class="then">With Narrows</span>
<span class="bar then"><i class="{kind}" style="width:{_part(then, longest)}"></i>{span}</span>
<span class="number then">{_volume(then)}, {_percent(forecast.saved_bytes, now)}</span></div>
<p class="quiet">The bracket is where it lies nine times in ten.</p>"""


def _method(forecast: Forecast) -> str:
    compared = f" ({escape(forecast.compared_with)})" if forecast.compared_with else ""
    chosen = f"All {forecast.file_count:,} videos in the folder"
    if forecast.measured_count < forecast.file_count:
        chosen = (
            f"{forecast.measured_count:,} of the {forecast.file_count:,} videos in the folder, those that are watched "
            "most and others drawn at random in proportion to their traffic,"
        )
    days = f"{forecast.log_days} day{'s' if forecast.log_days != 1 else ''}"
    return (
        f"{chosen} were encoded with Narrows and with the codec it is compared with{compared}, and compared at exactly "
        f"the same quality. What they save was weighed with {days} of your traffic, brought to a month of 30 days, and "
        "priced with your own tariff. Videos on which Narrows needs more bytes count against it, and what could not be "
        "compared counts as nothing."
    )


def _table(rows: list[Row]) -> str:
    head = "<tr><th>Video</th><th>Delivered</th><th>Narrows needs</th><th>Compared codec</th><th>Bytes</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(_row(row) for row in rows)}</tbody></table>"


def _row(row: Row) -> str:
    name, ours = escape(row.name.lstrip("/")), _size(row.payload_bytes)
    if not row.baseline_bytes:
        reason = escape(_REASONS.get(row.status, "could not be compared"))
        cells = f'<td class="quiet" colspan="2">{reason}</td>'
    else:
        kind = "saves" if saved_of(row) >= 0 else "loses"
        change = _percent(saved_of(row), row.delivered_bytes)
        cells = f'<td>{_size(row.baseline_bytes)}</td><td class="{kind}">{change}</td>'
    return f"<tr><td>{name}</td><td>{_volume(row.delivered_bytes)}</td><td>{ours}</td>{cells}</tr>\n"


def _yearly(amount: Money) -> Money:
    return Money(minor=12 * abs(amount.minor), currency=amount.currency)


def _negated(amount: Money) -> Money:
    return Money(minor=-amount.minor, currency=amount.currency)


def _money(amount: Money) -> str:
    """With cents below a thousand: no forecast knows them above."""
    number, _, currency = str(amount).partition(" ")
    whole, point, cents = number.partition(".")
    sign, digits = ("−", whole[1:]) if whole.startswith("-") else ("", whole)
    shown = f"{int(digits):,}" if len(digits) > 3 else f"{digits}{point}{cents}"
    return f'<span class="number">{sign}{shown} {escape(currency)}</span>'


def _percent(saved: int, whole: int) -> str:
    """`−12 %` where *saved* bytes of *whole* are not delivered any more, `+16 %` where more are."""
    if not whole:
        return "±0 %"
    change = round(-100 * saved / whole)
    return f"{'+' if change > 0 else '−' if change < 0 else '±'}{abs(change)} %"


def _part(volume: int, whole: int) -> str:
    return f"{max(0, min(1000, 1000 * volume // whole)) / 10}%"


def _volume(volume: int) -> str:
    for unit, size in (("PB", 10**15), ("TB", 10**12), ("GB", BYTES_PER_GB), ("MB", 10**6)):
        if volume >= size:
            return f"{volume / size:,.2f} {unit}" if volume < 100 * size else f"{volume / size:,.0f} {unit}"
    return _size(volume)


def _size(volume: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if volume >= size:
            return f"{volume / size:,.1f} {unit}"
    return f"{volume} bytes"
