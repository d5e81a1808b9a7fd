"""A restore drill: what was backed up is there again, to the byte, on either database, and the server goes on."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as run_settings
from hypothesis import strategies as st
from narrows_server import audit
from narrows_server.errors import Invalid
from narrows_server.invoices.models import Invoice
from narrows_server.office import Office, initialise, open_office
from narrows_server.operation.archive import check
from narrows_server.operation.backup import back_up
from narrows_server.operation.restore import restore
from narrows_server.settings import Settings
from narrows_server.statements.service import close, require_statement
from narrows_server.usage import repository as usage
from sqlalchemy import select

from ..builders import NOVEMBER, VENDOR, Clock, Site, a_contract, a_site, an_occasion, some_usage
from ..postgres import Postgres
from ..test_rebuild import DECEMBER_FOURTH, report

KINDS = ["sqlite", "postgresql"]


@contextmanager
def a_server(kind: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Office]:
    """A server that has issued a license, taken usage and invoiced it."""
    settings = settings_in(kind, folder, request)
    initialise(settings, VENDOR, clock=Clock())
    with open_office(settings, clock=Clock()) as office:
        a_contract(office)
        site = a_site(office, folder / "site")
        site.record(*some_usage())
        report(site, office)
        with office.database.transaction() as session:
            close(session, "kanal-1", NOVEMBER, occasion=an_occasion(DECEMBER_FOURTH))
        yield office


def settings_in(kind: str, folder: Path, request: pytest.FixtureRequest) -> Settings:
    environment = {}
    if kind == "postgresql":
        postgres = request.getfixturevalue("postgres")
        assert isinstance(postgres, Postgres)
        environment["NARROWS_SERVER_DATABASE_URL"] = postgres.fresh_database()
    return Settings.read(environment, home=folder / "home")


def books(office: Office) -> dict[str, object]:
    """What nobody may find changed: records, statements, invoices and the audit trail."""
    with office.database.snapshot() as session:
        installations = usage.list_installations(session, contract_id="kanal-1")
        return {
            "heads": [(one.id, one.head_seq, one.head_hash) for one in installations],
            "records": [
                record for one in installations for record in usage.read_records(session, one.id, last_seq=one.head_seq)
            ],
            "statement": require_statement(session, "kanal-1.2026-11").document,
            "invoices": [(i.number, i.document, i.content_hash) for i in session.scalars(select(Invoice))],
            "audit": audit.verify_chain(session),
        }


@pytest.mark.parametrize("into", KINDS)
@pytest.mark.parametrize("out_of", KINDS)
def test_a_restored_server_has_the_same_books_and_goes_on(
    out_of: str, into: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with a_server(out_of, tmp_path / "old", request) as office:
        before = books(office)
        back_up(office.settings, office.database, tmp_path / "server.backup", at=DECEMBER_FOURTH)
    settings = settings_in(into, tmp_path / "new", request)

    restore(tmp_path / "server.backup", settings)

    with open_office(settings, clock=Clock(DECEMBER_FOURTH + timedelta(days=1))) as office:
        assert books(office) == before
        # New customers, records, rows of the audit trail and invoices continue the old numbers.
        a_contract(office, customer_id="next", contract_id="next-1")
        site = a_site(office, tmp_path / "next", customer_id="next", contract_id="next-1")
        site.record(*some_usage())
        report(site, office)
        with office.database.transaction() as session:
            outcome = close(session, "next-1", NOVEMBER, occasion=an_occasion(office.clock()))
            assert outcome.result == "invoiced"
        with office.database.snapshot() as session:
            numbers = sorted(str(i.number) for i in session.scalars(select(Invoice)))
            assert [number[-6:] for number in numbers] == ["000001", "000002"]
            assert audit.verify_chain(session).fault is None


class TestFile:
    @pytest.fixture
    def backup(self, office: Office, site: Site, tmp_path: Path) -> Path:
        site.record(*some_usage())
        report(site, office)
        back_up(office.settings, office.database, tmp_path / "server.backup", at=office.clock())
        return tmp_path / "server.backup"

    def test_it_is_for_its_owner_alone_and_has_no_root_key_and_no_admin_key(self, backup: Path, home: Path) -> None:
        with tarfile.open(backup) as archive:
            names = archive.getnames()

        assert backup.stat().st_mode & 0o077 == 0
        assert "home/keys/license.pem" in names
        assert not any("root" in Path(name).parts for name in names)
        assert "home/admin.key" not in names

    def test_keys_can_be_left_out(self, office: Office, tmp_path: Path) -> None:
        back_up(office.settings, office.database, tmp_path / "b", at=office.clock(), with_keys=False)

        with tarfile.open(tmp_path / "b") as archive:
            assert not any(name.startswith("home/keys/") for name in archive.getnames())

    def test_the_same_state_gives_the_same_members(self, office: Office, backup: Path, tmp_path: Path) -> None:
        back_up(office.settings, office.database, tmp_path / "again", at=office.clock())

        assert gzip.decompress((tmp_path / "again").read_bytes()) == gzip.decompress(backup.read_bytes())

    def test_one_that_was_cut_off_is_refused_before_anything_is_touched(self, backup: Path, tmp_path: Path) -> None:
        content = backup.read_bytes()
        cut, settings = tmp_path / "cut", Settings.read({}, home=tmp_path / "new")
        # At the very end there is but padding: what comes before is whole, and checked against the manifest.
        for length in (0, 1, 10, len(content) // 3, len(content) // 2, len(content) - 200):
            cut.write_bytes(content[:length])
            with pytest.raises(Invalid):
                restore(cut, settings)
            assert not settings.home.exists()

    # It runs once on each kind of database, which Hypothesis takes for two objects under test.
    @run_settings(
        max_examples=40,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(data=st.data())
    def test_a_changed_byte_is_refused(self, backup: Path, tmp_path: Path, data: st.DataObject) -> None:
        plain = bytearray(gzip.decompress(backup.read_bytes()))
        with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
            entry = data.draw(st.sampled_from([one for one in archive if one.size]))
        at = data.draw(st.integers(entry.offset_data, entry.offset_data + entry.size - 1))
        plain[at] ^= 1 << data.draw(st.integers(0, 7))
        (tmp_path / "changed").write_bytes(gzip.compress(bytes(plain)))

        # White space of the manifest may become other white space; all else is noticed.
        try:
            manifest = check(tmp_path / "changed")
        except Invalid:
            return
        assert entry.name == "manifest.json"
        assert manifest.members == check(backup).members

    def test_it_is_not_restored_over_a_server(self, backup: Path, office: Office, tmp_path: Path) -> None:
        with pytest.raises(Invalid, match="holds a server already"):
            restore(backup, office.settings)
        other = Settings.read({"NARROWS_SERVER_DATABASE_URL": office.settings.database_url}, home=tmp_path / "new")
        with pytest.raises(Invalid, match="empty database"):
            restore(backup, other)

    def test_nothing_outside_the_folder_is_written(self, backup: Path, tmp_path: Path) -> None:
        for name in ("../escaped", "/tmp/escaped", "home/../../escaped"):
            with tarfile.open(tmp_path / "evil", "w:gz") as archive:
                entry = tarfile.TarInfo(name)
                archive.addfile(entry, io.BytesIO())
            with pytest.raises(Invalid, match="not a file of a backup"):
                check(tmp_path / "evil")

    def test_a_backup_is_never_overwritten(self, backup: Path, office: Office) -> None:
        with pytest.raises(Invalid, match="never overwritten"):
            back_up(office.settings, office.database, backup, at=office.clock())
