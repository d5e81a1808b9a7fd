"""A comparison as one HTML file that needs nothing else: no network, no fonts, no scripts but its own."""

from __future__ import annotations

import base64
import json
import statistics
from collections.abc import Callable
from html import escape
from importlib.resources import files
from string import Template

from narrows.comparing.bench import Point, Still
from narrows.comparing.chart import Line, chart, mark
from narrows.comparing.measurement import Comparison
from narrows.media.frames import to_png
from narrows.media.picture import Picture
from narrows.version import VERSION

_METRICS: tuple[tuple[str, str, str], ...] = (
    ("ms_ssim", "MS-SSIM", "dB"),
    ("vmaf_neg", "VMAF NEG", "points"),
    ("psnr", "PSNR", "dB"),
)
_EQUAL_PERCENT = 0.5
_ENLARGED_MAX = 3
"""How much larger than it is a picture is shown: smoothing beyond that hides what there is to see."""


def page(comparison: Comparison) -> str:
    """The whole page."""
    template = Template((files("narrows.comparing") / "page.html").read_text("utf-8"))
    stills = comparison.stills
    return template.substitute(
        clip=escape(comparison.clip),
        facts=escape(_facts(comparison)),
        verdict=_verdict(comparison),
        bd_table=_bd_table(comparison),
        legend=_legend(comparison),
        charts=_charts(comparison),
        frames=comparison.frame_count,
        still=comparison.still_frame + 1,
        left_options=_options(stills, chosen=min(1, len(stills) - 1)),
        right_options=_options(stills, chosen=min(3, len(stills) - 1) if len(stills) > 2 else 0),
        width=comparison.width,
        height=comparison.height,
        shown_width=f"{_ENLARGED_MAX * comparison.width}px",
        speed_table=_speed_table(comparison),
        point_table=_point_table(comparison),
        notices="".join(f'<p class="note">Note: {escape(notice)}.</p>' for notice in comparison.notices),
        version=VERSION,
        pictures=json.dumps([_data_url(still.picture) for still in stills]),
    )


def _facts(comparison: Comparison) -> str:
    seconds = comparison.frame_count / comparison.frame_rate
    return (
        f"{comparison.width}×{comparison.height}, {float(comparison.frame_rate):.4g} frames a second, "
        f"{comparison.frame_count} frames ({float(seconds):.3g} s). Narrows with preset {comparison.preset} and tune "
        f"{comparison.tune}."
    )


def _verdict(comparison: Comparison) -> str:
    """One sentence, by the first metric that can be told for all of them, or for most."""
    key, name, _ = max(
        _METRICS, key=lambda metric: sum(getattr(row, metric[0]) is not None for row in comparison.bd_rates)
    )
    told = []
    for row in comparison.bd_rates:
        percent, label = getattr(row, key), escape(comparison.labels[row.anchor])
        if percent is None:
            continue
        if abs(percent) < _EQUAL_PERCENT:
            told.append(f"as many bytes as {label}")
            continue
        kind, word = ("less", "fewer") if percent < 0 else ("more", "more")
        told.append(f'<b class="{kind}">{abs(percent):.0f} % {word}</b> bytes than {label}')
    if not told:
        return "<p>The qualities overlap too little on this clip to say who needs fewer bytes.</p>"
    listed = told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
    return f"<p>By {name}, for the same quality, Narrows needs {listed}.</p>"


def _measured(comparison: Comparison) -> list[tuple[str, str, str]]:
    """The metrics that this clip has."""
    return [m for m in _METRICS if any(getattr(point, m[0]) is not None for point in comparison.points)]


def _percent(value: float | None) -> str:
    if value is None:
        return '<td class="soft">–</td>'
    sign, kind = ("−", "less") if value < 0 else ("+", "more")
    digits = 0 if abs(value) >= 100 else 1  # Nobody needs tenths of a doubling.
    return f'<td class="figure {kind}">{sign}{abs(value):.{digits}f} %</td>'


def _bd_table(comparison: Comparison) -> str:
    metrics = _measured(comparison)
    head = "".join(f"<th>{name}</th>" for _, name, _ in metrics)
    rows = "".join(
        f"<tr><th>{escape(comparison.labels[row.anchor])}</th>"
        + "".join(_percent(getattr(row, key)) for key, _, _ in metrics)
        + "</tr>"
        for row in comparison.bd_rates
    )
    return f"<table><thead><tr><th>Narrows against</th>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _legend(comparison: Comparison) -> str:
    return "".join(
        f'<li class="codec-{number}"><svg viewBox="0 0 28 14" aria-hidden="true"><path d="M0 7h28" '
        f'stroke="currentColor" stroke-width="2"/><g class="mark">{mark(number, 14, 7)}</g></svg>'
        f"<b>{escape(label)}</b></li>"
        for number, label in enumerate(comparison.labels.values())
    )


def _charts(comparison: Comparison) -> str:
    drawn = []
    for key, name, unit in _measured(comparison):
        lines = [
            Line(codec, tuple((p.kbps, getattr(p, key), _said(label, p)) for p in _of(comparison, codec)))
            for codec, label in comparison.labels.items()
        ]
        if all(quality is not None for line in lines for _, quality, _ in line.points):
            drawn.append(
                f'<div class="card"><h3>{name} <span class="soft">{unit}</span></h3>{chart(name, lines)}</div>'
            )
    return "".join(drawn)


def _said(label: str, point: Point) -> str:
    figures = [f"{point.kbps:,.0f} kbit/s"]
    figures += [
        f"{name} {value:.2f}{' dB' if unit == 'dB' else ''}"
        for key, name, unit in _METRICS
        if (value := getattr(point, key)) is not None
    ]
    return f"{label}, crf {point.crf:g}: {', '.join(figures)}"


def _of(comparison: Comparison, codec: str) -> list[Point]:
    return [point for point in comparison.points if point.codec == codec]


def _options(stills: tuple[Still, ...], *, chosen: int) -> str:
    return "".join(
        f'<option value="{number}"{" selected" if number == chosen else ""}>{escape(still.label)}, '
        f"{'uncompressed' if still.codec == 'source' else f'{still.kbps:,.0f} kbit/s'}</option>"
        for number, still in enumerate(stills)
    )


def _speed_table(comparison: Comparison) -> str:
    def median(codec: str, speed: Callable[[Point], float]) -> str:
        return f"{statistics.median(speed(point) for point in _of(comparison, codec)):,.1f}"

    rows = "".join(
        f"<tr><th>{escape(label)}</th><td>{median(codec, lambda p: p.encode_fps)}</td>"
        f"<td>{median(codec, lambda p: p.decode_fps)}</td></tr>"
        for codec, label in comparison.labels.items()
    )
    return f"<table><thead><tr><th>codec</th><th>encode</th><th>decode</th></tr></thead><tbody>{rows}</tbody></table>"


def _point_table(comparison: Comparison) -> str:
    def cell(value: float | None) -> str:
        return "<td>–</td>" if value is None else f"<td>{value:.2f}</td>"

    rows = "".join(
        f"<tr><th>{escape(comparison.labels[p.codec])}</th><td>{p.crf:g}</td><td>{p.payload_bytes:,}</td>"
        f"<td>{p.kbps:,.1f}</td>{''.join(cell(getattr(p, key)) for key, _, _ in _METRICS)}</tr>"
        for p in comparison.points
    )
    head = "".join(f"<th>{name}</th>" for _, name, _ in _METRICS)
    return (
        f"<table><thead><tr><th>codec</th><th>crf</th><th>bytes</th><th>kbit/s</th>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _data_url(picture: Picture) -> str:
    """*picture* as a PNG that stands in the page itself."""
    return "data:image/png;base64," + base64.b64encode(to_png(picture)).decode()


def as_json(comparison: Comparison) -> dict[str, object]:
    """Everything but the pictures."""
    return {
        "clip": comparison.clip,
        "width": comparison.width,
        "height": comparison.height,
        "frame_rate": str(comparison.frame_rate),
        "frame_count": comparison.frame_count,
        "preset": comparison.preset,
        "tune": comparison.tune,
        "points": [{name: getattr(p, name) for name in Point.__dataclass_fields__} for p in comparison.points],
        "bd_rates": {row.anchor: {key: getattr(row, key) for key, _, _ in _METRICS} for row in comparison.bd_rates},
        "equal_rate_kbps": {still.codec: still.kbps for still in comparison.stills if still.codec != "source"},
        "notices": list(comparison.notices),
    }
