"""Signers: an encrypted file, a security module and a key service give the same thing, a signature that verifies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from narrows_licensing.errors import SignatureRefused
from narrows_licensing.signature import Typ, thumbprint, verify
from narrows_licensing.trust import Role
from narrows_server import rotation
from narrows_server.errors import NotInitialised
from narrows_server.keyring import open_keyring
from narrows_server.office import Office, initialise, open_office
from narrows_server.settings import Settings
from narrows_server.signer import Signer, open_signer
from narrows_server.signing import sign_token

from .builders import VENDOR, Clock, a_contract, a_license
from .test_rotation import root_paths

SOFTHSM_MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
CLAIMS = {"a": 1}

# In a process of its own: a security module is configured by the environment, once for the life of a process.
SIGN_WITH_MODULE = """
import json, sys
from pkcs11 import Attribute, KeyType, Mechanism, lib
from pkcs11.util.ec import encode_named_curve_parameters
module, uri = sys.argv[1:3]
with lib(module).get_token(token_label="narrows").open(user_pin="1234", rw=True) as session:
    parameters = session.create_domain_parameters(
        KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: encode_named_curve_parameters("1.3.101.112")}, local=True
    )
    parameters.generate_keypair(mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label="license")
from narrows_licensing.signature import Typ, public_key_to_text
from narrows_server.signer import open_signer
from narrows_server.signing import sign_token
signer = open_signer(uri)
token = sign_token({"a": 1}, typ=Typ.LICENSE, key=signer)
print(json.dumps({"token": token, "key": public_key_to_text(signer.public_key()), "repr": repr(signer)}))
"""


def verified(token: str, signer: Signer) -> dict[str, object]:
    public_key = signer.public_key()
    return verify(token, typ=Typ.LICENSE, keys={thumbprint(public_key): public_key})


class TestEncryptedFiles:
    @pytest.fixture
    def key_file(self, tmp_path: Path) -> Path:
        key = Ed25519PrivateKey.generate()
        encryption = BestAvailableEncryption(b"secret")
        (tmp_path / "license.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        (tmp_path / "passphrase").write_text("secret\n")
        return tmp_path / "license.pem"

    def test_an_encrypted_key_signs_with_its_passphrase(self, key_file: Path) -> None:
        signer = open_signer(str(key_file), passphrase_path=key_file.with_name("passphrase"))

        assert verified(sign_token(CLAIMS, typ=Typ.LICENSE, key=signer), signer) == CLAIMS

    def test_without_it_the_message_names_the_variable(self, key_file: Path) -> None:
        with pytest.raises(NotInitialised, match="NARROWS_SERVER_PASSPHRASE_FILE"):
            open_signer(str(key_file))
        key_file.with_name("passphrase").write_text("another")
        with pytest.raises(NotInitialised, match="passphrase is another"):
            open_signer(str(key_file), passphrase_path=key_file.with_name("passphrase"))
        with pytest.raises(NotInitialised, match="can't be read"):
            open_signer(str(key_file), passphrase_path=key_file.with_name("nowhere"))

    def test_a_server_with_a_passphrase_keeps_no_key_in_the_clear(self, tmp_path: Path) -> None:
        (tmp_path / "passphrase").write_text("secret\n")
        settings = replace(Settings.read({}, home=tmp_path / "home"), passphrase_path=tmp_path / "passphrase")
        initialise(settings, VENDOR, clock=Clock())
        with open_office(settings, clock=Clock()) as office:
            keyring = office.keyring
            rotation.draft_rotation(
                settings, keyring.bundle, keyring.roots, roles=set(Role), withdraw=False, at=office.clock()
            )

        keys = [path.read_bytes() for path in settings.keys.rglob("*.pem")]
        assert len(keys) == 3 + 2 * len(Role)
        assert all(key.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY") for key in keys)
        with pytest.raises(NotInitialised, match="NARROWS_SERVER_PASSPHRASE_FILE"):
            open_keyring(replace(settings, passphrase_path=None))


class TestSecurityModules:
    def test_a_key_that_never_leaves_softhsm_signs_a_license(self, tmp_path: Path) -> None:
        module = next((path for path in SOFTHSM_MODULES if Path(path).exists()), None)
        tool = shutil.which("softhsm2-util")
        if module is None or tool is None:
            pytest.skip("SoftHSM 2 is not installed: apt-get install softhsm2")
        (tmp_path / "tokens").mkdir()
        (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
        (tmp_path / "pin").write_text("1234\n")
        environment = {**os.environ, "SOFTHSM2_CONF": str(tmp_path / "softhsm2.conf")}
        made = [tool, "--init-token", "--free", "--label", "narrows", "--pin", "1234", "--so-pin", "12345678"]
        subprocess.run(made, env=environment, check=True, capture_output=True)
        uri = f"pkcs11:token=narrows;object=license?module-path={module}&pin-source=file:{tmp_path / 'pin'}"
        done = subprocess.run(
            [sys.executable, "-c", SIGN_WITH_MODULE, module, uri],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        from narrows_licensing.signature import public_key_from_text

        key = public_key_from_text(answer["key"])
        assert verify(answer["token"], typ=Typ.LICENSE, keys={thumbprint(key): key}) == CLAIMS
        assert "1234" not in answer["repr"]

    @pytest.mark.parametrize(
        ("uri", "complaint"),
        [
            ("pkcs11:token=narrows", "names token, object"),
            ("pkcs11:token=a b;object=x?module-path=/x&pin-source=/y", "label"),
            ("pkcs11:token=a;object=x?module-path=/nowhere.so&pin-source=/nowhere", "can't be read"),
        ],
    )
    def test_a_location_that_can_not_be_meant_is_refused(self, uri: str, complaint: str) -> None:
        with pytest.raises(NotInitialised, match=complaint):
            open_signer(uri)


class FakeVault(ThreadingHTTPServer):
    """The two calls of Vault's transit engine that a signer needs, with a key of its own."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _VaultHandler)
        self.key = Ed25519PrivateKey.generate()
        self.is_lying = False


class _VaultHandler(BaseHTTPRequestHandler):
    server: FakeVault

    def do_GET(self) -> None:
        public = b64encode(self.server.key.public_key().public_bytes_raw()).decode()
        self._answer({"data": {"type": "ed25519", "keys": {"1": {"public_key": public}}}})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = b64decode(asked["input"])
        signature = self.server.key.sign(b"something else" if self.server.is_lying else message)
        self._answer({"data": {"signature": f"vault:v1:{b64encode(signature).decode()}"}})

    do_PUT = do_POST  # noqa: N815 - the base class finds it by this name

    def _answer(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200 if self.headers["X-Vault-Token"] == "t" else 403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


class TestKeyServices:
    @pytest.fixture
    def vault(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVault]:
        server = FakeVault()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # What the service's own client reads; there is no other way to tell it.
        monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("VAULT_TOKEN", "t")
        yield server
        server.shutdown()
        server.server_close()

    def test_a_key_in_vault_signs_a_license(self, vault: FakeVault) -> None:
        signer = open_signer("hv:narrows-license")

        assert verified(sign_token(CLAIMS, typ=Typ.LICENSE, key=signer), signer) == CLAIMS
        assert signer.public_key() == vault.key.public_key()

    def test_a_service_that_signs_something_else_is_noticed_before_anything_leaves(self, vault: FakeVault) -> None:
        signer = open_signer("hv:narrows-license")
        vault.is_lying = True

        with pytest.raises(SignatureRefused):
            sign_token(CLAIMS, typ=Typ.LICENSE, key=signer)

    def test_a_role_moves_from_a_file_to_the_service_by_a_rotation(self, vault: FakeVault, office: Office) -> None:
        keyring, settings = office.keyring, office.settings
        draft = rotation.draft_rotation(
            settings,
            keyring.bundle,
            keyring.roots,
            roles={Role.LICENSE},
            withdraw=False,
            at=office.clock(),
            signers={Role.LICENSE: "hv:narrows-license"},
        )
        roots = [rotation.read_root(path, passphrase_path=None) for path in root_paths(settings.root_keys)[:2]]
        rotation.install_bundle(settings, rotation.add_signatures(draft, roots), keyring.bundle, keyring.roots)

        assert not (settings.keys / "license.pem").exists()
        assert open_keyring(settings).license.public_key() == vault.key.public_key()
        with open_office(settings, clock=office.clock) as moved:
            a_contract(moved)
            assert a_license(moved)

    def test_an_unknown_service_and_one_that_says_no_are_named(
        self, vault: FakeVault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(NotInitialised, match="no signer for xyz"):
            open_signer("xyz:key")
        monkeypatch.setenv("VAULT_TOKEN", "wrong")
        with pytest.raises(NotInitialised, match="hv:narrows-license"):
            open_signer("hv:narrows-license")
