"""`narrows-server usage`."""

from __future__ import annotations

from narrows_server import wording
from narrows_server.terminal import AsJson, Home, group, office_of, show_json, show_table
from narrows_server.usage import repository
from narrows_server.usage.schemas import InstallationOut

usage = group("What the installations have reported.")


@usage.command("list")
def list_usage(home: Home = None, as_json: AsJson = False) -> None:
    """Show every installation, the one that reported last first."""
    with office_of(home) as office, office.database.snapshot() as session:
        rows = [InstallationOut.of(overview) for overview in repository.overviews(session)]
    if as_json:
        show_json([row.model_dump(mode="json") for row in rows])
    else:
        show_table(
            ("installation", "customer", "contract", ">records", ">encodes", ">delivered", ">forks", "last report"),
            [
                (
                    row.id,
                    row.customer_id,
                    row.contract_id,
                    wording.exact(row.records),
                    wording.exact(row.encodes),
                    wording.volume(row.delivered_bytes),
                    wording.exact(row.forks),
                    wording.moment(row.reported_at),
                )
                for row in rows
            ],
            empty="no installation has reported yet",
        )
