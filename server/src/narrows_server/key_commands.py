"""`narrows-server keys`: roots on a machine that is offline, new keys and trust bundles here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from narrows_licensing.signature import thumbprint
from narrows_licensing.trust import Role, TrustBundle

from narrows_server import rotation
from narrows_server.clock import utc_now
from narrows_server.errors import Invalid
from narrows_server.keyring import open_keyring
from narrows_server.signer import read_passphrase
from narrows_server.terminal import AsJson, Home, group, quoted, say, settings_of, show_json, show_table, write_file

keys = group("The vendor's keys: roots stay on an offline machine, the others sign here.")

Passphrase = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="The file with the passphrase of the root keys.", show_default=False),
]


@keys.command("init-root")
def init_root(
    folder: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="A folder that is made for them.")],
    passphrase_file: Passphrase = None,
    post_quantum: Annotated[bool, typer.Option("--post-quantum", help="A root for ML-DSA-65 as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Make the three root keys and the public roots.json. Run it on a machine that is never on a network.

    [dim]narrows-server keys init-root --out /media/roots --passphrase-file /media/passphrase[/]
    """
    passphrase = read_passphrase(passphrase_file)
    roots = rotation.make_roots(folder, passphrase=passphrase, with_post_quantum=post_quantum)
    if as_json:
        show_json({"folder": folder, "roots": list(roots.keys), "threshold": roots.threshold})
        return
    say(f"made {len(roots.keys)} root keys in {quoted(folder)}; any {roots.threshold} of them sign a trust bundle")
    say("Keep each where the others are not. roots.json is public: it goes to the server and into the SDK.")


@keys.command("rotate")
def rotate(
    role: Annotated[list[Role], typer.Option(help="What gets a new key; repeat it.")],
    out: Annotated[Path, typer.Option(help="Where to write the draft for the roots.")],
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="No longer trust the old key: it was stolen. All under it is refused.")
    ] = False,
    signer: Annotated[
        str | None, typer.Option(help="Where the new key is: pkcs11:…, hv:…; a file is made if left out.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Make new keys that wait, and draft the trust bundle that names them.

    [dim]narrows-server keys rotate --role license --out draft.json[/]
    """
    settings = settings_of(home)
    keyring = open_keyring(settings)
    if signer is not None and len(role) != 1:
        raise Invalid("a key in a device is for one role; say one --role")
    draft = rotation.draft_rotation(
        settings,
        keyring.bundle,
        keyring.roots,
        roles=set(role),
        withdraw=withdraw,
        at=utc_now(),
        signers={role[0]: signer} if signer else None,
    )
    write_file(out, json.dumps(draft, indent=2).encode())
    bundle = rotation.describe(draft)
    if as_json:
        show_json({"draft": out, "version": bundle.version, "roles": sorted(role)})
        return
    say(f"drafted trust bundle {quoted(bundle.version)} in {quoted(out)}; nothing has changed yet")
    say("Where the roots are, run: narrows-server keys bundle DRAFT --root root-1.pem --root root-2.pem --out SIGNED")


@keys.command("bundle")
def sign_bundle(
    draft: Annotated[Path, typer.Argument(help="The draft, or a bundle that others have signed already.")],
    root: Annotated[list[Path], typer.Option(help="A root key to sign with; repeat it.")],
    out: Annotated[Path, typer.Option(help="Where to write the signed bundle.")],
    post_quantum: Annotated[Path | None, typer.Option(help="The ML-DSA-65 root.")] = None,
    passphrase_file: Passphrase = None,
    as_json: AsJson = False,
) -> None:
    """
    Sign a drafted trust bundle with root keys. Run it where they are; no server is needed.

    [dim]narrows-server keys bundle draft.json --root root-1.pem --root root-2.pem --out bundle.json[/]
    """
    document = rotation.read_document(draft)
    bundle = rotation.describe(document)
    opened = [rotation.read_root(path, passphrase_path=passphrase_file) for path in root]
    signed = rotation.add_signatures(document, opened, seed=post_quantum.read_bytes() if post_quantum else None)
    write_file(out, json.dumps(signed, indent=2).encode())
    if as_json:
        show_json({"bundle": out, "version": bundle.version, "signatures": len(signed["signatures"])})
        return
    _show_keys(bundle)
    say(f"trust bundle {quoted(bundle.version)} now has {len(signed['signatures'])} signatures: {quoted(out)}")


@keys.command("install")
def install(
    bundle: Annotated[Path, typer.Argument(help="The signed trust bundle.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Take a signed trust bundle into use, and the keys that wait for it. License files carry it from now on.

    [dim]narrows-server keys install bundle.json[/]
    """
    settings = settings_of(home)
    if settings.trust_bundle.exists():
        keyring = open_keyring(settings)
        current, roots = keyring.bundle, keyring.roots
    else:  # The first one, of roots that were made elsewhere.
        current, roots = None, rotation.read_roots(settings.roots)
    done = rotation.install_bundle(settings, rotation.read_document(bundle), current, roots)
    if as_json:
        show_json({"version": done.bundle.version, "activated": [role.value for role in done.activated]})
        return
    say(f"installed trust bundle {quoted(done.bundle.version)}; new keys sign: {', '.join(done.activated) or 'none'}")
    if Role.REVOCATION in done.activated:
        say("Run `narrows-server revocations publish` now: the list is to be signed by the new key.")
    say("Restart the server, and send customers their license files again: narrows-server license export")


@keys.command("status")
def status(home: Home = None, as_json: AsJson = False) -> None:
    """
    Show the trust bundle, its keys, and which of them sign here.

    [dim]narrows-server keys status[/]
    """
    settings = settings_of(home)
    keyring = open_keyring(settings)
    own = {
        role: thumbprint(signer.public_key())
        for role, signer in (
            (Role.LICENSE, keyring.license),
            (Role.RECEIPT, keyring.receipt),
            (Role.REVOCATION, keyring.revocation),
            (Role.LEASE, keyring.lease),
            (Role.INSTALLATION, keyring.installation),
        )
    }
    roots_here = settings.root_keys.exists() and any(settings.root_keys.iterdir())
    if as_json:
        show_json(
            {
                "version": keyring.bundle.version,
                "expires_at": keyring.bundle.expires_at,
                "roots": list(keyring.roots.keys),
                "threshold": keyring.roots.threshold,
                "root_keys_here": roots_here,
                "signs_here": own,
                "keys": [
                    {"kid": key.kid, "role": key.role, "not_before": key.not_before, "not_after": key.not_after}
                    for key in keyring.bundle.keys
                ],
            }
        )
        return
    say(f"trust bundle {quoted(keyring.bundle.version)} until {keyring.bundle.expires_at:%Y-%m-%d}")
    _show_keys(keyring.bundle, own=set(own.values()))
    if roots_here:
        say(f"[yellow]Move {quoted(settings.root_keys)} to an offline machine:[/] no server needs the root keys.")


def _show_keys(bundle: TrustBundle, *, own: set[str] | None = None) -> None:
    rows = [
        (key.role.value, key.kid, f"{key.not_before:%Y-%m-%d}", f"{key.not_after:%Y-%m-%d}", _sign(key.kid, own))
        for key in sorted(bundle.keys, key=lambda key: (key.role, key.not_before))
    ]
    show_table(("role", "key", "from", "until", "signs here"), rows, empty="no keys")


def _sign(kid: str, own: set[str] | None) -> str | None:
    return None if own is None else "yes" if kid in own else "no"
