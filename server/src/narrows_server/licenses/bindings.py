"""
Requests and responses as files, and bindings as an admin writes them at the command line.

`none`, `application:com.example.player`, `installation:ID`, `request:FILE`, `workload:FILE`.
"""

from __future__ import annotations

import json
from pathlib import Path

import segno
from narrows_licensing.binding import UNBOUND, Applications, Binding, Installation, read_binding
from narrows_licensing.claims import ClaimReader
from narrows_licensing.errors import DocumentUnreadable, LicensingError
from narrows_licensing.qr import from_qr_text, is_qr_text, to_qr_text
from narrows_licensing.request import Request, read_request
from narrows_licensing.response import Response

from narrows_server.errors import Invalid

FILE_BYTES_MAX = 64 * 1024


def binding_from_text(text: str) -> Binding:
    """
    Read a binding. Raises `Invalid`.

    `request:FILE` binds to the machine whose hashed facts are in a request, or else to the installation that asks;
    `workload:FILE` reads issuer, audience, keys (a JWKS) and subjects from a JSON file.
    """
    kind, _, value = text.partition(":")
    claims: object
    if kind == "none" and not value:
        return UNBOUND
    if kind == "application":
        claims = Applications(ids=tuple(value.split(","))).claims()
    elif kind == "installation":
        claims = Installation(thumbprint=value).claims()
    elif kind == "request":
        request = read_request_file(Path(value))
        return request.machine or Installation(thumbprint=request.installation_id)
    elif kind == "workload":
        try:
            claims = {"kind": "workload", **json.loads(_read(Path(value)))}
        except (ValueError, TypeError) as error:
            raise Invalid(f"{value} is not a JSON object") from error
    else:
        raise Invalid(f"{text!r} is not a binding: none, application:ID, installation:ID, request:FILE, workload:FILE")
    try:
        return read_binding(ClaimReader(claims, error=DocumentUnreadable, path="binding"))
    except LicensingError as error:
        raise Invalid(str(error)) from error


def binding_of_request(text: str) -> Binding:
    """The machine whose hashed facts are in a request, or else the installation that asks. Raises `Invalid`."""
    try:
        request = _read_request(text)
    except LicensingError as error:
        raise Invalid(f"this is not a request: {error}") from error
    return request.machine or Installation(thumbprint=request.installation_id)


def binding_of_workload(text: str) -> Binding:
    """A workload, from the JSON of its issuer, audience, keys (a JWKS) and subjects. Raises `Invalid`."""
    try:
        return read_binding(
            ClaimReader({"kind": "workload", **json.loads(text)}, error=DocumentUnreadable, path="binding")
        )
    except (ValueError, TypeError) as error:
        raise Invalid("the workload is not a JSON object") from error
    except LicensingError as error:
        raise Invalid(str(error)) from error


def read_request_file(path: Path) -> Request:
    """Read a customer's request, from its file or from the text of its QR code. Raises `Invalid`."""
    try:
        return _read_request(_read(path))
    except LicensingError as error:
        raise Invalid(f"{path} is not a request: {error}") from error


def _read_request(text: str) -> Request:
    text = text.strip()
    return read_request(from_qr_text(text) if is_qr_text(text) else text)


def write_response(path: Path, response: Response, *, has_bundle: bool) -> None:
    """
    Write the answer to a request: a file, or a QR code if *path* is a picture. Raises `Invalid`.

    A QR code leaves out the trust bundle where the customer said that it *has_bundle*; a file is always complete.
    """
    try:
        if path.suffix in (".png", ".svg"):
            carried = response.without_bundle() if has_bundle else response
            text = to_qr_text(carried.to_json(indent=None))
            segno.make(text, error="l", boost_error=False, micro=False).save(str(path), scale=4)
        else:
            path.write_text(response.to_json())
    except OSError as error:
        raise Invalid(f"{path} cannot be written: {error.strerror}") from error
    except LicensingError as error:
        raise Invalid(f"the response does not fit in a QR code; write a file instead: {error}") from error


def _read(path: Path) -> str:
    try:
        with path.open(errors="replace") as file:
            return file.read(FILE_BYTES_MAX)
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from error
