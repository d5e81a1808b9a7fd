"""The state folder: made once, private, complete or named as incomplete."""

from __future__ import annotations

import json
import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from narrows_licensing.errors import LicensingError
from narrows_licensing.trust import Role, Roots, read_bundle
from narrows_server.errors import HomeMissing, Invalid, NotInitialised
from narrows_server.keyring import make_keys, open_keyring
from narrows_server.office import initialise, open_office
from narrows_server.parties.service import default_entity, seller_of
from narrows_server.settings import Settings

from .builders import NOW, VENDOR, Clock
from .owner import forget_the_revision


def contents(home: Path) -> dict[str, bytes]:
    # The database's own files may be tidied up by opening it; what is in it is compared elsewhere.
    return {str(p.relative_to(home)): p.read_bytes() for p in home.rglob("*") if p.is_file() and "sqlite" not in p.name}


def settings(home: Path) -> Settings:
    return Settings.read(os.environ, home=home)


def test_running_init_again_changes_nothing(home: Path) -> None:
    before = contents(home)
    done = initialise(settings(home), None, clock=Clock())

    assert (done.made_keys, done.upgraded_database, done.admin_key) == (False, False, None)
    assert contents(home) == before


def test_init_again_replaces_the_vendor_only_when_one_is_named(home: Path) -> None:
    initialise(settings(home), None, clock=Clock())
    with open_office(settings(home)) as office, office.database.snapshot() as session:
        assert seller_of(default_entity(session)) == replace(VENDOR, id="vendor")

    initialise(settings(home), replace(VENDOR, name="Narrows GmbH"), clock=Clock())
    with open_office(settings(home)) as office, office.database.snapshot() as session:
        assert default_entity(session).name == "Narrows GmbH"


def test_the_vendor_of_an_earlier_state_folder_becomes_the_first_legal_entity(tmp_path: Path) -> None:
    home = tmp_path / "earlier"
    home.mkdir()
    stated = {"name": "Narrows", "address": ["1 Quay"], "email": None, "tax_id": "123", "payment": ["IBAN …"]}
    (home / "vendor.json").write_text(json.dumps(stated))
    initialise(settings(home), None, clock=Clock())

    with open_office(settings(home)) as office, office.database.snapshot() as session:
        found = seller_of(default_entity(session))
        assert (found.name, found.address, found.tax_id, found.payment) == ("Narrows", ("1 Quay",), "123", ("IBAN …",))


def test_a_vendor_of_an_earlier_state_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    home = tmp_path / "earlier"
    home.mkdir()
    (home / "vendor.json").write_text('{"name": "Narrows"}')
    with pytest.raises(Invalid, match=r"vendor\.json cannot be read"):
        initialise(settings(home), None, clock=Clock())


def test_private_files_can_be_read_by_their_owner_alone(home: Path) -> None:
    private = [*(home / "keys").rglob("*.pem"), home / "keys" / "console.secret", home / "admin.key"]

    assert len(private) == 3 + len(Role) + 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (home / "keys", home / "keys" / "root")} == {0o700}


def test_an_init_that_was_interrupted_is_completed_with_the_keys_that_it_had_made(home: Path) -> None:
    root, license_key = (home / "keys/root/root-2.pem").read_bytes(), (home / "keys/license.pem").read_bytes()
    for name in ("trust-bundle.json", "roots.json", "keys/receipt.pem", "keys/root/root-3.pem"):
        (home / name).unlink()

    assert make_keys(settings(home), at=NOW) is True
    assert (home / "keys/root/root-2.pem").read_bytes() == root
    assert (home / "keys/license.pem").read_bytes() == license_key
    assert open_keyring(settings(home)).bundle.version == 1


def test_the_server_works_without_the_root_keys_and_init_does_not_bring_them_back(home: Path) -> None:
    shutil.rmtree(home / "keys/root")
    initialise(settings(home), None, clock=Clock())

    assert not (home / "keys/root").exists()
    with open_office(settings(home), clock=Clock()) as office:
        assert office.keyring.bundle.version == 1


def test_the_bundle_names_one_key_for_each_role_and_two_of_three_roots_signed_it(home: Path) -> None:
    roots = Roots.from_json((home / "roots.json").read_text())
    document = json.loads((home / "trust-bundle.json").read_text())
    bundle = read_bundle(document, roots)

    assert (roots.threshold, len(roots.keys), len(document["signatures"])) == (2, 3, 2)
    assert {key.role for key in bundle.keys} == set(Role)
    document["signatures"].pop()
    with pytest.raises(LicensingError):
        read_bundle(document, roots)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda home: (home / "keys/license.pem").unlink(), "license.pem is missing"),
        (lambda home: (home / "keys/license.pem").write_text("x"), "is not a private key"),
        (lambda home: shutil.copy(home / "keys/root/root-1.pem", home / "keys/license.pem"), "license key in"),
        (lambda home: (home / "trust-bundle.json").unlink(), "trust-bundle.json is missing"),
        (lambda home: (home / "trust-bundle.json").write_text("{}"), "is not signed by"),
        (forget_the_revision, "the database is at revision None"),
    ],
)
def test_a_folder_that_is_incomplete_is_not_opened_and_says_what_is_missing(
    home: Path, damage: object, complaint: str
) -> None:
    assert callable(damage)
    damage(home)
    with pytest.raises(NotInitialised, match=complaint), open_office(settings(home)):
        pass


def test_without_a_folder_nothing_is_assumed() -> None:
    with pytest.raises(HomeMissing, match="NARROWS_SERVER_HOME"):
        Settings.read({})


def test_the_argument_comes_before_the_environment(tmp_path: Path) -> None:
    environ = {"NARROWS_SERVER_HOME": "/elsewhere", "NARROWS_SERVER_DATABASE_URL": "postgresql+psycopg://db/narrows"}

    assert Settings.read(environ, home=tmp_path).home == tmp_path
    assert Settings.read(environ).home == Path("/elsewhere")
    assert Settings.read(environ).database_url == "postgresql+psycopg://db/narrows"
