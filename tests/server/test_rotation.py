"""Keys: roots that never come near the server, and new keys that reach a customer who has no network."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from narrows_licensing import post_quantum
from narrows_licensing.document import OpenedFile, open_file
from narrows_licensing.memory import NOTHING, Known
from narrows_licensing.trust import Role, Roots
from narrows_licensing.verdict import Reason, Refused
from narrows_server import rotation
from narrows_server.errors import AlreadyExists, Invalid, NotInitialised
from narrows_server.keyring import open_keyring
from narrows_server.licenses import service
from narrows_server.licenses.drafts import draft_renewal
from narrows_server.office import Office, initialise, open_office
from narrows_server.settings import Settings
from typer.testing import CliRunner

from .builders import VENDOR, Clock, a_contract, a_license, an_occasion
from .test_cli import run
from .test_licenses import file_of


def root_paths(folder: Path) -> list[Path]:
    return [folder / f"root-{number}.pem" for number in (1, 2, 3)]


def rotated(office: Office, *roles: Role, withdraw: bool = False, roots: int = 2) -> rotation.Installed:
    """Draft here, sign with the roots, install here."""
    settings, keyring = office.settings, office.keyring
    draft = rotation.draft_rotation(
        settings, keyring.bundle, keyring.roots, roles=set(roles), withdraw=withdraw, at=office.clock()
    )
    opened = [rotation.read_root(path, passphrase_path=None) for path in root_paths(settings.root_keys)[:roots]]
    return rotation.install_bundle(settings, rotation.add_signatures(draft, opened), keyring.bundle, keyring.roots)


def opened_by_customer(office: Office, text: str, roots: Roots, known: Known = NOTHING) -> OpenedFile | Refused:
    return open_file(text, roots=roots, at=office.clock(), known=known)


class TestOfflineRoots:
    def test_a_server_whose_roots_were_made_elsewhere_never_sees_a_root_key(self, tmp_path: Path) -> None:
        # Given roots made on another machine, with a passphrase and one for ML-DSA-65.
        offline, home = tmp_path / "offline", tmp_path / "home"
        (tmp_path / "passphrase").write_text("correct horse\n")
        commands = CliRunner()
        made = ["init-root", "--out", str(offline), "--passphrase-file", str(tmp_path / "passphrase")]
        second = ["--post-quantum"] if post_quantum.is_available() else []
        run(commands, "keys", *made, *second)

        # When the server is set up with their public half, drafts, and the roots sign.
        run(commands, "init", "--home", str(home), "--roots", str(offline / "roots.json"))
        with pytest.raises(NotInitialised, match="keys bundle"):
            open_keyring(Settings.read({}, home=home))
        signed = str(tmp_path / "bundle.json")
        roots = [argument for path in root_paths(offline)[:2] for argument in ("--root", str(path))]
        also = ["--post-quantum", str(offline / rotation.POST_QUANTUM_FILE)] if second else []
        passphrase = ["--passphrase-file", str(tmp_path / "passphrase")]
        run(
            commands,
            "keys",
            "bundle",
            str(home / "trust-bundle.draft.json"),
            *roots,
            *also,
            *passphrase,
            "--out",
            signed,
        )
        run(commands, "keys", "install", signed, "--home", str(home))

        # Then it issues licenses that the roots vouch for, and holds no root key.
        with open_office(Settings.read({}, home=home)) as office:
            status = json.loads(run(commands, "keys", "status", "--home", str(home), "--json").stdout)
            assert status["root_keys_here"] is False
            assert set(status["signs_here"]) == set(Role)
            a_contract(office)
            license_id, _ = a_license(office)
            text = file_of(office, license_id)
            assert isinstance(opened_by_customer(office, text, office.keyring.roots), OpenedFile)
            assert (office.keyring.roots.post_quantum is not None) is bool(second)
        assert not any(path.read_bytes().startswith(b"-----BEGIN PRIVATE") for path in offline.glob("*.pem"))

    def test_roots_are_private_encrypted_and_made_once(self, tmp_path: Path) -> None:
        rotation.make_roots(tmp_path / "roots", passphrase=b"secret", with_post_quantum=False)
        for path in root_paths(tmp_path / "roots"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert b"ENCRYPTED" in path.read_bytes()
            with pytest.raises(NotInitialised, match="passphrase"):
                rotation.read_root(path, passphrase_path=None)
        with pytest.raises(AlreadyExists):
            rotation.make_roots(tmp_path / "roots", passphrase=None, with_post_quantum=False)

    def test_signatures_of_two_places_are_gathered(self, office: Office) -> None:
        keyring = office.keyring
        draft = rotation.draft_rotation(
            office.settings, keyring.bundle, keyring.roots, roles={Role.LICENSE}, withdraw=False, at=office.clock()
        )
        first, _, third = (rotation.read_root(p, passphrase_path=None) for p in root_paths(office.settings.root_keys))
        half = rotation.add_signatures(draft, [first])
        with pytest.raises(Invalid, match="2 must"):
            rotation.install_bundle(office.settings, half, keyring.bundle, keyring.roots)
        whole = rotation.add_signatures(half, [third])
        assert rotation.install_bundle(office.settings, whole, keyring.bundle, keyring.roots).bundle.version == 2


class TestRotation:
    def test_a_customer_of_the_previous_release_without_a_network_accepts_what_the_new_key_signs(
        self, office: Office
    ) -> None:
        # Given a customer who knows nothing but the roots, and what the first license file taught.
        a_contract(office)
        before = opened_by_customer(office, file_of(office, a_license(office)[0]), office.keyring.roots)
        assert isinstance(before, OpenedFile)

        # When the license key is rotated, and a license is issued under the new one.
        assert rotated(office, Role.LICENSE).activated == (Role.LICENSE,)
        with open_office(office.settings, clock=office.clock) as renewed:
            license_id, _ = a_license(renewed)
            assert renewed.keyring.license.public_key() != office.keyring.license.public_key()
            text = file_of(renewed, license_id)

        # Then the file alone is enough, and licenses from before are still good.
        after = opened_by_customer(office, text, office.keyring.roots, before.known)
        assert isinstance(after, OpenedFile)
        assert after.license.license_id == license_id
        assert after.bundle is not None
        assert len(after.bundle.keys_for(Role.LICENSE, office.clock())) == 2

    def test_what_a_stolen_key_signed_is_refused_by_everybody_who_has_seen_its_withdrawal(self, office: Office) -> None:
        a_contract(office)
        old = file_of(office, a_license(office)[0])
        rotated(office, Role.LICENSE, withdraw=True)
        with open_office(office.settings, clock=office.clock) as renewed:
            seen = opened_by_customer(renewed, file_of(renewed, a_license(renewed)[0]), office.keyring.roots)
        assert isinstance(seen, OpenedFile)

        refused = opened_by_customer(office, old, office.keyring.roots, seen.known)

        assert isinstance(refused, Refused)
        assert refused.reason is Reason.UNTRUSTED_KEY

    def test_licenses_under_a_withdrawn_key_can_be_renewed_and_revoked(self, office: Office) -> None:
        a_contract(office)
        first, second = a_license(office)[0], a_license(office)[0]
        rotated(office, Role.LICENSE, withdraw=True)
        with open_office(office.settings, clock=office.clock) as renewed, renewed.database.transaction() as session:
            keyring, occasion = renewed.keyring, an_occasion(office.clock())
            issued = service.require_license(session, first)
            draft = draft_renewal(issued, days=30, keyring=keyring, at=office.clock())
            new = service.issue_draft(session, draft, keyring=keyring, occasion=occasion)
            assert service.revoke(session, second, keyring=keyring, occasion=occasion).revoked_at
            text = service.license_file(session, new.id, keyring=keyring, at=office.clock())
        assert isinstance(opened_by_customer(office, text, office.keyring.roots), OpenedFile)

    def test_until_the_signed_bundle_is_installed_the_old_key_signs(self, office: Office) -> None:
        keyring = office.keyring
        rotation.draft_rotation(
            office.settings, keyring.bundle, keyring.roots, roles=set(Role), withdraw=False, at=office.clock()
        )

        again = open_keyring(office.settings)
        assert again.license.public_key() == keyring.license.public_key()

    def test_an_older_bundle_and_one_of_another_vendor_are_not_installed(self, office: Office, tmp_path: Path) -> None:
        with pytest.raises(Invalid, match="is installed"):
            rotation.install_bundle(
                office.settings, dict(office.keyring.bundle_document), office.keyring.bundle, office.keyring.roots
            )
        other = Settings.read({}, home=tmp_path / "other")
        initialise(other, VENDOR, clock=Clock())
        with pytest.raises(Invalid, match="customers would refuse"):
            rotation.install_bundle(
                office.settings,
                dict(open_keyring(other).bundle_document),
                office.keyring.bundle,
                office.keyring.roots,
            )

    def test_a_bundle_without_the_key_that_waits_is_not_installed(self, office: Office) -> None:
        keyring = office.keyring
        stale = rotation.draft_rotation(
            office.settings, keyring.bundle, keyring.roots, roles={Role.LICENSE}, withdraw=False, at=office.clock()
        )
        rotation.draft_rotation(
            office.settings, keyring.bundle, keyring.roots, roles={Role.LICENSE}, withdraw=False, at=office.clock()
        )
        opened = [rotation.read_root(path, passphrase_path=None) for path in root_paths(office.settings.root_keys)[:2]]
        with pytest.raises(Invalid, match="waits"):
            rotation.install_bundle(
                office.settings, rotation.add_signatures(stale, opened), keyring.bundle, keyring.roots
            )

    @pytest.mark.parametrize("document", [{}, {"payload": 1}, {"payload": "e30", "signatures": []}])
    def test_what_is_no_draft_is_not_signed(self, document: dict[str, object]) -> None:
        with pytest.raises(Invalid):
            rotation.add_signatures(document, [])
