"""
The statement on paper: PDF/A-3b by typst, with the signed JSON inside as its source.

The page is for people; what counts is the JSON, which `narrows-recompute` reads. The same statement gives the same
bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import as_file, files
from typing import Any

import typst
from narrows_metering.canonical import canonical_json
from narrows_metering.statement import statement_hash

from narrows_server import wording

ATTACHMENT = "statement.json"
_EXCEPTIONS_SHOWN = 40
_CORRECTIONS = {"late_deliveries": "deliveries reported late", "other_evidence": "other evidence"}


def render(statement: Mapping[str, Any], statement_id: str) -> bytes:
    """The PDF of *statement*."""
    drawn_up_at = datetime.fromisoformat(statement["period"]["drawn_up_at"])
    with as_file(files("narrows_server.statements") / "statement.typ") as template:
        return typst.compile(
            template,
            format="pdf",
            ignore_system_fonts=True,
            sys_inputs={
                "page": json.dumps(_texts(statement, statement_id)),
                "statement": canonical_json(dict(statement)).decode(),
                "attachment": ATTACHMENT,
            },
            pdf_standards=["a-3b"],
            timestamp=drawn_up_at.astimezone(UTC).replace(tzinfo=UTC),
        )


def _texts(statement: Mapping[str, Any], statement_id: str) -> dict[str, Any]:
    """Every text of the page, finished, section by section: the template computes nothing."""
    contract, result, share = statement["contract"], statement["result"], statement["share"]
    month = wording.month(statement["period"]["month"])
    drawn_up_at = datetime.fromisoformat(statement["period"]["drawn_up_at"])
    return {
        "title": f"Savings statement {month}",
        "id": statement_id,
        "date": {"year": drawn_up_at.year, "month": drawn_up_at.month, "day": drawn_up_at.day},
        "subheading": f"Contract {contract['contract_id']}, drawn up {wording.moment(drawn_up_at)}",
        "hash": statement_hash(statement),
        "sections": [
            {"name": name, "rows": rows}
            for name, rows in (
                ("1  Delivered", _delivered(statement["delivered"])),
                ("2  Baseline", _baseline(statement)),
                ("3  Evidence", _evidence(statement["evidence"])),
                ("4  Result", _result(result)),
                ("5  Valuation", _valuation(statement["valuation"])),
                ("6  Share", _share(share)),
                ("7  Corrections of earlier months", _corrections(statement["corrections"])),
                ("8  Exceptions", _exceptions(statement["exceptions"])),
                ("9  Completeness", _completeness(statement["completeness"])),
                ("10  Proofs", _proofs(statement["proofs"])),
                ("11  Signatures", _signatures(statement["signatures"])),
            )
        ],
    }


def _money(amount: Mapping[str, Any]) -> str:
    return wording.money(amount["minor"], amount["currency"])


def _delivered(delivered: Mapping[str, Any]) -> list[list[str]]:
    regions = [
        [" ".join(filter(None, (one["cdn"], one["region"]))) or "all", wording.gigabytes(one["bytes"])]
        for one in delivered["regions"]
    ]
    return [
        ["Delivered", wording.gigabytes(delivered["bytes"])],
        ["of which with evidence", wording.gigabytes(delivered["counted_bytes"])],
        *(regions if len(regions) > 1 else []),
    ]


def _baseline(statement: Mapping[str, Any]) -> list[list[str]]:
    baseline = statement["baseline"]
    return [
        ["Compared with", f"{baseline['baseline_id']} at equal {baseline['metric']}"],
        *([["Its settings, SHA-256", baseline["spec_sha256"]]] if baseline["spec_sha256"] else []),
        ["It would have delivered", wording.gigabytes(baseline["bytes"])],
    ]


def _evidence(evidence: Mapping[str, Any]) -> list[list[str]]:
    rows = [["Method", evidence["method"].replace("_", " ")], ["Renditions measured", f"{len(evidence['lines']):,}"]]
    in_parts = sum(line["segments"] is not None for line in evidence["lines"])
    capped = sum(line["baseline_bytes"] == line["ladder_bytes"] for line in evidence["lines"])
    rows += [["of which by segments", f"{in_parts:,}"]] if in_parts else []
    rows += [["of which up to the ladder's top", f"{capped:,}"]] if capped else []
    if sample := evidence["sample"]:
        drawn, population = (
            sum(len(stratum["drawn"]) for stratum in sample["strata"]),
            sum(stratum["population"] for stratum in sample["strata"]),
        )
        rows += [
            ["Sample", f"{len(sample['certainty']):,} certain, {drawn:,} of {population:,} drawn"],
            ["Seed", sample["seed"]],
        ]
    if bench := evidence["stipulation"]:
        rows += [
            ["Bench", f"{bench['bench_id']}, month {bench['month']} of {bench['months_max']}"],
            ["Of what it says is billed", f"{bench['billed_percent']} %"],
            *([f"Class {one['content_class']}", wording.gigabytes(one["saved_bytes"])] for one in bench["classes"]),
            ["Signed by", bench["signed_by"]],
        ]
    if holdout := evidence["holdout"]:
        agreed, share = holdout["agreed_percent"], wording.per_cent(holdout["played_ppm"], 1_000_000)
        rows += [
            ["Sessions with the baseline's ladder", f"{share} of the played time, {agreed} % agreed"],
            *(
                [f"{name.capitalize()}: delivered, hours played", f"{volume}, {hours:,}"]
                for name in ("ours", "baseline")
                for volume, hours in [
                    (wording.gigabytes(holdout[name]["bytes"]), holdout[name]["played_ms"] // 3_600_000),
                ]
            ),
            ["Groups of title and day", f"{holdout['groups']:,}"],
            *(
                []
                if holdout["compared"]
                else [["Compared", "no: the share is too far from the agreed one, or there is one group alone"]]
            ),
        ]
    return rows


def _result(result: Mapping[str, Any]) -> list[list[str]]:
    interval = " to ".join(wording.gigabytes(result[name]) for name in ("lower_bytes", "upper_bytes"))
    return [
        ["Saved, as measured", wording.gigabytes(result["measured_bytes"])],
        ["90 % interval", interval],
        ["Left out for uncertainty", wording.gigabytes(result["haircut_bytes"])],
        ["Saved, as billed", wording.gigabytes(result["saved_bytes"])],
    ]


def _valuation(valuation: Mapping[str, Any]) -> list[list[str]]:
    cdns = [[one["cdn"] or "all", _money(one["saved"])] for one in valuation["cdns"]]
    return [
        ["Mode", valuation["mode"].replace("_", " ")],
        ["Cost of the baseline's traffic", _money(valuation["baseline_cost"])],
        ["Cost of the delivered traffic", _money(valuation["delivered_cost"])],
        *(cdns if len(cdns) > 1 else []),
        ["Saved", _money(valuation["saved"])],
    ]


def _share(share: Mapping[str, Any]) -> list[list[str]]:
    currency = share["amount"]["currency"]
    rows = []
    if rate := share["exchange"]:
        at = f"1 {rate['currency']} = {rate['rate']} {currency}, {rate['source']}, {rate['date']}"
        rows.append([f"Saved, at {at}", _money(share["saved"])])
    for part in share["parts"]:
        since = f", from day {part['from_day']}" if len(share["parts"]) > 1 else ""
        rows += [
            [
                f"{one['percent']} % of {wording.money(one['saved_minor'], currency)}{since}",
                wording.money(one["minor"], currency),
            ]
            for one in part["slices"]
        ]
    if share["reason"]:
        rows.append(["Why nothing", share["reason"].replace("_", " ")])
    return [*rows, ["Corrections of earlier months", _money(share["corrections"])], ["Due", _money(share["due"])]]


def _corrections(corrections: list[Mapping[str, Any]]) -> list[list[str]]:
    return [
        [f"{wording.month(one['month'])}: {_CORRECTIONS[one['reason']]}", _money(one["share"])] for one in corrections
    ]


def _exceptions(exceptions: list[Mapping[str, Any]]) -> list[list[str]]:
    rows = [
        [
            f"{one['reason'].replace('_', ' ')}: {one['rendition'] or one['member']}",
            wording.volume(one["delivered_bytes"]),
        ]
        for one in exceptions[:_EXCEPTIONS_SHOWN]
    ]
    left = len(exceptions) - len(rows)
    return [*rows, [f"and {left:,} more in the JSON", ""]] if left else rows


def _completeness(completeness: Mapping[str, Any]) -> list[list[str]]:
    return [
        ["Installations", f"{completeness['installations']:,}"],
        ["Records", f"{completeness['records']:,}"],
        ["Declared gaps", f"{len(completeness['declared_gaps']):,}"],
    ]


def _proofs(proofs: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            f"{one['installation_id'][:16]}… records {one['first_seq']} to {one['last_seq']}",
            f"{one['merkle_root'][:32]}…",
        ]
        for one in proofs["installations"][:_EXCEPTIONS_SHOWN]
    ]


def _signatures(signatures: Mapping[str, Any]) -> list[list[str]]:
    return [[name.capitalize(), one["public_key"] if one else "not signed"] for name, one in signatures.items()]
