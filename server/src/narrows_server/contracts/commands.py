"""`narrows-server contract` and `tariff`: documents in files, as both sides signed them."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from narrows_server.contracts import repository, service
from narrows_server.contracts.contract_document import ContractDocument, json_schema
from narrows_server.contracts.reading import parse, read_document
from narrows_server.contracts.schemas import ContractOut, TariffOut, VersionOut
from narrows_server.contracts.tariff_document import TariffDocument
from narrows_server.errors import Invalid
from narrows_server.statements.service import first_open_day
from narrows_server.terminal import AsJson, Home, group, office_of, quoted, say, show_json, show_table

contracts = group("The terms between a customer and us.")
tariffs = group("What customers pay for bandwidth.")

ChosenId = Annotated[str | None, typer.Option("--id", help="An id of your choice instead of one that is made up.")]
ContractId = Annotated[str, typer.Argument(metavar="CONTRACT", help="Its id, as `contract list` shows it.")]
DocumentFile = Annotated[str, typer.Argument(metavar="FILE", help="A JSON document; - reads the standard input.")]


@tariffs.command("add")
def add_tariff(file: DocumentFile, tariff_id: ChosenId = None, home: Home = None, as_json: AsJson = False) -> None:
    """
    Add a tariff: prices per GB (10⁹ bytes) in tiers, per CDN and region where they differ.

    [dim]echo '{"name": "CDN 2026", "currency": "EUR", "tiers": [{"up_to_gb": "10000", "price_per_gb": "0.05"},
    {"price_per_gb": "0.04"}]}' | narrows-server tariff add -[/]
    """
    document = read_document(TariffDocument, _read(file), what=file)
    with office_of(home) as office, office.database.transaction() as session:
        shown = TariffOut.of(service.add_tariff(session, document, tariff_id=tariff_id, occasion=office.occasion()))
    if as_json:
        show_json(shown.model_dump(mode="json"))
    else:
        say(f"added tariff {quoted(shown.id)}")


@tariffs.command("list")
def list_tariffs(home: Home = None, as_json: AsJson = False) -> None:
    """
    Show every tariff.

    [dim]narrows-server tariff list[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        rows = [TariffOut.of(tariff) for tariff in repository.list_tariffs(session)]
    if as_json:
        show_json([row.model_dump(mode="json") for row in rows])
    else:
        cells = [(row.id, row.name, row.currency, _prices(row.document)) for row in rows]
        show_table(("id", "name", "currency", "price per GB"), cells, empty="no tariffs yet")


@tariffs.command("show")
def show_tariff(
    tariff_id: Annotated[str, typer.Argument(metavar="TARIFF", help="Its id, as `tariff list` shows it.")],
    home: Home = None,
) -> None:
    """
    Print the document of a tariff, as it was added.

    [dim]narrows-server tariff show cdn-europe > tariff.json[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        show_json(json.loads(service.require_tariff(session, tariff_id).document))


@tariffs.command("schema")
def tariff_schema() -> None:
    """
    Print the JSON Schema of a tariff document.

    [dim]narrows-server tariff schema > tariff.schema.json[/]
    """
    show_json(json_schema(TariffDocument))


@contracts.command("add")
def add_contract(file: DocumentFile, contract_id: ChosenId = None, home: Home = None, as_json: AsJson = False) -> None:
    """
    Add a contract.

    [dim]echo '{"customer": "acme", "currency": "EUR", "starts_on": "2026-11-01", "tariff": "cdn-2026",
    "baseline": "libx265-medium", "metric": "ms_ssim", "share": [{"percent": "20"}]}' |
    narrows-server contract add - --id acme-1[/]
    """
    document = read_document(ContractDocument, _read(file), what=file)
    with office_of(home) as office, office.database.transaction() as session:
        contract = service.add_contract(session, document, contract_id=contract_id, occasion=office.occasion())
        shown = ContractOut.of(contract, repository.list_versions(session, contract.id)[-1])
    if as_json:
        show_json(shown.model_dump(mode="json"))
    else:
        say(f"added contract {quoted(shown.id)}")


@contracts.command("amend")
def amend_contract(
    contract_id: ContractId,
    file: DocumentFile,
    effective: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The first day of the new terms.")],
    reason: Annotated[str | None, typer.Option(help="For the audit trail.")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Show the new version and keep nothing.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Add a version with other terms from a day on. FILE needs only the members that change (RFC 7396); null removes one.

    [dim]echo '{"minimum": {"month": "500.00"}}' | narrows-server contract amend acme-1 - --effective 2026-12-16[/]
    """
    patch = parse(_read(file), what=file)
    day = effective.replace(tzinfo=UTC).date()
    with office_of(home) as office, office.database.transaction() as session:
        occasion = office.occasion()
        row = service.amend_contract(
            session,
            contract_id,
            patch,
            effective_on=day,
            first_open_day=first_open_day(session, contract_id),
            reason=reason,
            occasion=occasion,
        )
        shown = VersionOut.of(row)
        if preview:
            session.rollback()
    if as_json:
        show_json(shown.model_dump(mode="json"))
    elif preview:
        say(f"version {shown.number} of {quoted(contract_id)} would hold from {shown.effective_on} on; nothing is kept")
    else:
        say(f"version {shown.number} of {quoted(contract_id)} holds from {shown.effective_on} on")


@contracts.command("list")
def list_contracts(home: Home = None, as_json: AsJson = False) -> None:
    """
    Show every contract with the terms that hold today.

    [dim]narrows-server contract list --json[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        today = office.clock().date()
        rows = [
            ContractOut.of(contract, service.version_row_on(session, contract.id, today))
            for contract in repository.list_contracts(session)
        ]
    if as_json:
        show_json([row.model_dump(mode="json") for row in rows])
        return
    cells = [
        (
            row.id,
            row.customer_id,
            row.version,
            row.document["tariff"],
            _shares(row.document),
            row.document["baseline"],
            row.document["metric"],
            row.starts_on,
            row.document["ends_on"],
        )
        for row in rows
    ]
    columns = ("id", "customer", ">version", "tariff", ">share", "baseline", "metric", "starts", "ends")
    show_table(columns, cells, empty="no contracts yet")


@contracts.command("show")
def show_contract(
    contract_id: ContractId,
    on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day whose terms to show; today if left out.")
    ] = None,
    home: Home = None,
) -> None:
    """
    Print the document of the version that holds on a day: what `contract add` takes.

    [dim]narrows-server contract show acme-1 > contract.json[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        service.require_contract(session, contract_id)
        day = on.replace(tzinfo=UTC).date() if on else office.clock().date()
        show_json(json.loads(service.document_on(session, contract_id, day).canonical()))


@contracts.command("history")
def show_history(contract_id: ContractId, home: Home = None, as_json: AsJson = False) -> None:
    """
    Show every version of a contract: what changed, from when on, who recorded it and why.

    [dim]narrows-server contract history acme-1[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        service.require_contract(session, contract_id)
        rows = [VersionOut.of(row) for row in repository.list_versions(session, contract_id)]
    if as_json:
        show_json([row.model_dump(mode="json") for row in rows])
        return
    cells = [
        (
            row.number,
            row.effective_on,
            row.recorded_at.strftime("%Y-%m-%d %H:%M"),
            row.recorded_by,
            "everything" if not number else _changes(rows[number - 1].document, row.document),
            row.reason,
            row.hash[:12],
        )
        for number, row in enumerate(rows)
    ]
    columns = (">version", "effective", "recorded", "by", "changed", "reason", "hash")
    show_table(columns, cells, empty="no versions")


@contracts.command("schema")
def contract_schema() -> None:
    """
    Print the JSON Schema of a contract document.

    [dim]narrows-server contract schema > contract.schema.json[/]
    """
    show_json(json_schema(ContractDocument))


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}") from error


def _changes(before: dict[str, Any], after: dict[str, Any]) -> str:
    return ", ".join(name for name in after if before.get(name) != after[name])


def _shares(document: dict[str, Any]) -> str:
    return ", ".join(f"{tier['percent']} %" for tier in document["share"])


def _prices(document: dict[str, Any]) -> str:
    tiers = ", ".join(
        f"{tier['price_per_gb']} {'above' if tier['up_to_gb'] is None else 'to ' + tier['up_to_gb'] + ' GB'}"
        for tier in document["tiers"]
    )
    own = [one["cdn"] for one in document["cdns"]]
    return f"{tiers}; own prices: {', '.join(own)}" if own else tiers
