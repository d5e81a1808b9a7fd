"""`narrows-server usage`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from narrows_server import wording
from narrows_server.errors import Invalid, NotFound
from narrows_server.paging import Paged
from narrows_server.terminal import EXIT_ATTENTION, AsJson, Home, group, office_of, quoted, say, show_json, show_table
from narrows_server.usage import courier, repository
from narrows_server.usage.models import Fork
from narrows_server.usage.schemas import GapOut, InstallationOut, InstallationsOut

usage = group("What the installations have reported.")


@usage.command("list")
def list_usage(home: Home = None, as_json: AsJson = False) -> None:
    """
    Show every installation, the one that reported last first, and what is missing.

    [dim]narrows-server usage list --json[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        everything = Paged(rows=repository.overviews(session), next_cursor=None)
        gaps = repository.list_gaps(session)
        shown = InstallationsOut.of(everything, gaps, heads=repository.heads(session, gaps), at=office.clock())
    if as_json:
        show_json([row.model_dump(mode="json") for row in shown.items])
        return
    show_table(
        (
            "installation",
            "customer",
            "contract",
            "standing",
            ">complete to",
            "missing",
            ">encodes",
            ">delivered",
            ">forks",
            "last report",
        ),
        [
            (
                row.id,
                row.customer_id,
                row.contract_id,
                row.standing,
                wording.exact(row.records),
                row.gap and _missing(row.gap),
                wording.exact(row.encodes),
                wording.volume(row.delivered_bytes),
                wording.exact(row.forks),
                wording.moment(row.reported_at),
            )
            for row in shown.items
        ],
        empty="no installation has reported yet",
    )
    known = {row.id for row in shown.items}
    strangers = [gap for gap in shown.gaps if gap.installation_id not in known]
    if strangers:
        show_table(
            ("not known yet", "customer", "contract", ">complete to", "missing", "seen"),
            [
                (
                    gap.installation_id,
                    gap.customer_id,
                    gap.contract_id,
                    wording.exact(gap.complete_to),
                    _missing(gap),
                    wording.moment(gap.seen_at),
                )
                for gap in strangers
            ],
            empty="",
        )


@usage.command("show")
def show_usage(
    installation: Annotated[str, typer.Argument(metavar="INSTALLATION", help="Its id, or how that begins.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Show one installation: where it comes from, what is missing, and which records contradict ours.

    [dim]narrows-server usage show 019a7b3c[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        found = [row for row in repository.overviews(session) if row.installation.id.startswith(installation)]
        if len(found) != 1:
            raise NotFound(f"{'no installation' if not found else 'more than one installation'} begins {installation}")
        row = InstallationOut.of(found[0], at=office.clock())
        forks = repository.list_forks(session, row.id)
    if as_json:
        show_json(row.model_dump(mode="json") | {"contradictions": [_contradiction(fork) for fork in forks]})
        return
    facts = [
        ("installation", row.id),
        ("customer", row.customer_id),
        ("contract", row.contract_id),
        ("license", row.license_id),
        ("SDK", row.sdk),
        ("standing", row.standing),
        ("enrolled", wording.moment(row.enrolled_at)),
        ("last report", wording.moment(row.reported_at)),
        ("encodes", wording.exact(row.encodes)),
        ("delivered", wording.volume(row.delivered_bytes)),
        ("complete to", wording.exact(row.records)),
        ("missing", row.gap and f"{_missing(row.gap)}, seen {wording.moment(row.gap.seen_at)}"),
        ("continues", row.forked_from and f"{row.forked_from} after record {row.forked_at_seq}"),
        ("continued as", row.continued_as),
    ]
    show_table(("", ""), [fact for fact in facts if fact[1] is not None], empty="")
    if forks:
        show_table(
            (">contradicting record", "hash", "seen"),
            [(wording.exact(fork.seq), fork.hash, wording.moment(fork.seen_at)) for fork in forks],
            empty="",
        )


@usage.command("import")
def import_usage(
    file: Annotated[Path, typer.Argument(help="What `narrows usage export` wrote on the customer's machine.")],
    out: Annotated[Path, typer.Option("--receipts", help="Where to write the receipts; the customer takes them.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Take in reports that came as a file, as if they had come over the network. Again changes nothing.

    Exit code 1 if a report is refused; the others count, and the file of receipts says why.

    [dim]narrows-server usage import reports.jsonl --receipts receipts.jsonl[/]
    """
    with office_of(home) as office:
        try:
            with file.open("rb") as reports, courier.replacing(out) as receipts:
                taken = courier.import_reports(office, reports, receipts)
        except OSError as error:
            raise Invalid(f"{error.filename or file}: {error.strerror or error}") from error
        except courier.FileNotRead as error:
            raise Invalid(f"{file}: {error}. Nothing of it was counted; ask the customer for it again") from error
    if as_json:
        members = {"reports": taken.report_count, "accepted": taken.accepted_count, "records": taken.record_count}
        refused = [{"code": one.code, "detail": one.detail} for one in taken.refusals]
        show_json({**members, "refused": refused, "receipts": str(out)})
    else:
        say(f"took in {taken.accepted_count} of {taken.report_count} reports with {taken.record_count} records")
        for one in taken.refusals:
            say(f"[yellow]refused[/] {quoted(one.code)}: {quoted(one.detail)}")
        say(f"the receipts are in {quoted(out)}")
    if taken.refusals:
        raise typer.Exit(EXIT_ATTENTION)


def _missing(gap: GapOut) -> str:
    return wording.missing(gap.complete_to, gap.missing_last)


def _contradiction(fork: Fork) -> dict[str, object]:
    return {"seq": fork.seq, "hash": fork.hash, "seen_at": fork.seen_at}
