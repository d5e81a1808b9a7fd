"""
`narrows-recompute`: draws a statement up again from its evidence and says whether every number is the same.

For the customer's auditor. Uses the very functions of `statement`, on the customer's own machine, without any
network, and trusts nothing in the statement but its terms, its period and the moment when it was drawn up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from narrows_metering.canonical import canonical_json, read_json
from narrows_metering.correction import Records, correct_again, up_to
from narrows_metering.endorsement import SECTION, check_endorsements
from narrows_metering.errors import (
    ChainBroken,
    MeteringError,
    RecordRefused,
    StatementRefused,
    StatementUnreadable,
)
from narrows_metering.evidence import find_evidence, read_evidence
from narrows_metering.money import Money
from narrows_metering.record import Record, time_from_text
from narrows_metering.statement import FORMAT, Period, Terms, draw_up, statement_hash

_ABSENT: Final = "(absent)"
_STATEMENT_BYTES_MAX: Final = 2**30
CORRECTIONS_MAX: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value that is not what the records say."""

    pointer: str  # RFC 6901.
    stated: object
    recomputed: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputation:
    """What came out."""

    statement_hash: str
    values_compared: int
    difference: Difference | None  # The first one, in the order of the document.
    left_out: tuple[str, ...]  # Installations with evidence that the statement does not mention.
    signed_by: dict[str, str]  # Thumbprints of the keys of the vendor and the customer, where they have signed.


def recompute(statement: dict[str, Any], evidence: Path) -> Recomputation:
    """
    Draw *statement* up again from the files in the folder *evidence* and compare every value.

    Records after the last one that the statement covers are left aside. Raises StatementUnreadable if the statement
    or a file cannot be read, or if the evidence of an installation is missing, StatementRefused if a signature does not
    hold.
    """
    terms, period, drawn_up_at, covered = _read_premises(statement)
    files = find_evidence(evidence)
    for installation_id in covered:
        if installation_id not in files:
            raise StatementUnreadable(f"{evidence}: the evidence of installation {installation_id} is missing")

    def records() -> dict[str, Iterator[Record]]:
        return {name: up_to(read_evidence(files[name]), last_seq) for name, last_seq in covered.items()}

    again = draw_up(
        terms,
        period=period,
        records_by_installation=records(),
        drawn_up_at=drawn_up_at,
        corrections=_corrections(statement, records),
    )
    unsigned = {name: value for name, value in statement.items() if name != SECTION}
    compared, difference = 0, None
    for found in _compare(unsigned, {name: again[name] for name in again if name != SECTION}, ""):
        compared += 1
        if found is not None:
            difference = found
            break
    # After the numbers: one that differs says more than that the signature does not fit.
    signed_by = {} if difference else check_endorsements(statement)
    return Recomputation(
        statement_hash=statement_hash(statement),
        values_compared=compared,
        difference=difference,
        left_out=tuple(sorted(files.keys() - covered.keys())),
        signed_by={signer.value: name for signer, name in signed_by.items()},
    )


def read_statement(path: Path) -> dict[str, Any]:
    """
    The statement in the file *path*, not yet believed.

    Raises StatementUnreadable, also unless the file is the canonical JSON (RFC 8785) of its content, with or without an
    end of line: so no byte of it can change without a value changing.
    """
    try:
        if path.stat().st_size > _STATEMENT_BYTES_MAX:
            raise StatementUnreadable(f"{path}: more than {_STATEMENT_BYTES_MAX} bytes")
        text = path.read_bytes()
        statement = read_json(text)
    except (OSError, ValueError) as error:
        raise StatementUnreadable(f"{path}: {error}") from None
    if not isinstance(statement, dict) or statement.get("format") != FORMAT:
        raise StatementUnreadable(f"{path}: format: not {FORMAT}")
    try:
        canonical = canonical_json(statement)
    except ValueError as error:
        raise StatementUnreadable(f"{path}: {error}") from None
    if text.removesuffix(b"\n") != canonical:
        at = next(
            (n for n, (one, other) in enumerate(zip(text, canonical, strict=False)) if one != other), len(canonical)
        )
        raise StatementUnreadable(f"{path}, byte {at}: not the canonical JSON (RFC 8785) of a statement")
    return statement


def _read_premises(statement: dict[str, Any]) -> tuple[Terms, Period, Any, dict[str, int]]:
    terms = Terms.from_dict(statement.get("contract"))
    try:
        period = Period.from_dict(statement["period"])
        drawn_up_at = time_from_text(statement["period"]["drawn_up_at"])
        proofs = statement["proofs"]["installations"]
        covered = {proof["installation_id"]: proof["last_seq"] for proof in proofs}
    except (KeyError, TypeError, ValueError, RecordRefused) as error:
        raise StatementUnreadable(f"period or proofs: {error}") from None
    if not all(isinstance(name, str) and type(last_seq) is int for name, last_seq in covered.items()):
        raise StatementUnreadable("proofs: malformed")
    return terms, period, drawn_up_at, covered


def _corrections(statement: dict[str, Any], records: Records) -> list[dict[str, Any]]:
    stated = statement.get("corrections")
    if not isinstance(stated, list) or len(stated) > CORRECTIONS_MAX:
        raise StatementUnreadable(f"corrections: not a list of at most {CORRECTIONS_MAX}")
    again = [correct_again(entry, records) for entry in stated]
    return [entry for entry in again if entry is not None]


def _compare(stated: object, again: object, pointer: str) -> Iterator[Difference | None]:
    """One item per value, in document order: None where they agree."""
    if isinstance(stated, dict) and isinstance(again, dict):
        for name in [*again, *sorted(stated.keys() - again.keys())]:
            step = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            yield from _compare(stated.get(name, _ABSENT), again.get(name, _ABSENT), step)
    elif isinstance(stated, list) and isinstance(again, list):
        for index in range(max(len(stated), len(again))):
            pair = [values[index] if index < len(values) else _ABSENT for values in (stated, again)]
            yield from _compare(pair[0], pair[1], f"{pointer}/{index}")
    elif type(stated) is type(again) and stated == again:
        yield None
    else:
        yield Difference(pointer=pointer, stated=stated, recomputed=again)


app = typer.Typer(add_completion=False)


@app.command(epilog="Example: narrows-recompute statement.json --evidence records/")
def command(
    statement: Annotated[Path, typer.Argument(help="The statement, as JSON.")],
    evidence: Annotated[Path, typer.Option(help="Folder with one <installation id>.json per installation.")],
    expected: Annotated[
        str | None,
        typer.Option("--signed-by", metavar="KEY", help="The vendor's key that must have signed: its thumbprint."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """
    Recompute a savings statement from its records.

    Exit code 0: every number agrees. 1: one differs, or the records do not hold; the first is named. 2: a file is
    missing or unreadable, so nothing can be said.
    """
    try:
        stated = read_statement(statement)
        outcome = recompute(stated, evidence)
    except StatementRefused as refused:
        _finish(1, {"agrees": False, "error": str(refused)}, f"The signature does not hold: {refused}", as_json=as_json)
    except ChainBroken as broken:
        _finish(1, {"agrees": False, "error": str(broken)}, f"The records do not hold: {broken}", as_json=as_json)
    except MeteringError as error:
        _finish(2, {"agrees": None, "error": str(error)}, f"Cannot recompute: {error}", as_json=as_json)
    differs = outcome.difference
    document: dict[str, Any] = {
        "agrees": differs is None,
        "statement_hash": outcome.statement_hash,
        "values_compared": outcome.values_compared,
        "left_out": list(outcome.left_out),
        "signed_by": outcome.signed_by,
        "difference": None
        if differs is None
        else {"pointer": differs.pointer, "stated": differs.stated, "recomputed": differs.recomputed},
    }
    if differs is None and expected and outcome.signed_by.get("vendor") != expected:
        signer = outcome.signed_by.get("vendor", "nobody")
        document["agrees"] = False
        document["error"] = f"/signatures/vendor: signed by {signer}, not by {expected}"
        _finish(1, document, document["error"], as_json=as_json)
    lines = [f"Installation {name} is not in the statement; its records were left out." for name in outcome.left_out]
    if differs is not None:
        lines += [
            f"{differs.pointer} differs",
            f"  stated      {_shown(differs.stated)}",
            f"  recomputed  {_shown(differs.recomputed)}",
        ]
        _finish(1, document, "\n".join(lines), as_json=as_json)
    _finish(0, document, "\n".join([*lines, *_summary(stated, outcome)]), as_json=as_json)


def _summary(statement: dict[str, Any], outcome: Recomputation) -> list[str]:
    result, completeness = statement["result"], statement["completeness"]
    return [
        f"All {outcome.values_compared:,} values agree with the records.",
        f"  contract    {statement['contract']['contract_id']}, {statement['period']['month']}",
        f"  records     {completeness['records']:,} of {completeness['installations']:,} installations, chains intact",
        f"  delivered   {result['delivered_bytes']:,} bytes",
        f"  baseline    {result['baseline_bytes']:,} bytes",
        f"  saved       {result['saved_bytes']:,} bytes, worth {Money(**statement['valuation']['saved'])}",
        f"  share       {_percents(statement['share'])}: {Money(**statement['share']['amount'])}",
        f"  hash        {outcome.statement_hash}",
        *(f"  signed by   the {signer}, key {name}" for signer, name in outcome.signed_by.items()),
        *([] if outcome.signed_by else ["  signed by   nobody yet"]),
    ]


def _percents(share: dict[str, Any]) -> str:
    percents = dict.fromkeys(one["percent"] for part in share["parts"] for one in part["slices"])
    return ", ".join(f"{percent} %" for percent in percents) or "none"


def _shown(value: object) -> str:
    return value if value == _ABSENT and isinstance(value, str) else json.dumps(value, ensure_ascii=False)[:500]


def _finish(code: int, document: dict[str, Any], text: str, *, as_json: bool) -> Any:
    typer.echo(json.dumps(document, indent=2) if as_json else text, err=code == 2 and not as_json)
    raise typer.Exit(code)


def main() -> None:
    """The console script."""
    app()
