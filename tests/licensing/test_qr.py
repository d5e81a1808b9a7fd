"""Documents as QR codes: what goes in comes out, nothing else does, and what a site needs fits in one."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_licensing.binding import COMPONENT_NAMES, bind_components
from narrows_licensing.document import LicenseFile
from narrows_licensing.errors import DocumentUnreadable
from narrows_licensing.qr import PREFIX, QR_BYTES_MAX, QR_CHARACTERS_MAX, from_qr_text, is_qr_text, to_qr_text
from narrows_licensing.request import read_request
from narrows_licensing.response import Response
from narrows_licensing.testing import NOW, Vendor, a_license

from .test_certificate import CERTIFICATE, KEY, REQUEST
from .vectors.documents import documents

VENDOR = Vendor()


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=500))
def test_what_goes_in_comes_out(document: str) -> None:
    text = to_qr_text(document)

    assert from_qr_text(text) == document
    assert from_qr_text(text + "\n") == document
    assert is_qr_text(text)


def test_the_encoding_is_that_of_rfc_9285() -> None:
    from narrows_licensing.qr import _decode, _encode

    for raw, text in ((b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581"), (b"ietf!", "QED8WEX0")):
        assert _encode(raw) == text
        assert _decode(text) == raw


@given(st.text(max_size=60))
def test_anything_else_is_refused(text: str) -> None:
    for candidate in (text, PREFIX + text):
        with pytest.raises(DocumentUnreadable):
            from_qr_text(candidate)


def test_a_code_that_unpacks_to_more_than_its_limit_is_refused() -> None:
    from narrows_licensing.qr import _encode

    with pytest.raises(DocumentUnreadable):
        from_qr_text(PREFIX + _encode(zlib.compress(bytes(10**6))))


def test_a_request_with_six_facts_about_the_machine_fits_in_one_code() -> None:
    from dataclasses import replace

    machine = bind_components(dict.fromkeys(COMPONENT_NAMES, "a fact"), required=4, salt="s" * 22)
    token = replace(REQUEST, machine=machine, license_id="lic_" + "x" * 26).sign(KEY)

    text = to_qr_text(token)
    assert len(zlib.compress(token.encode(), 9)) <= QR_BYTES_MAX
    assert len(text) <= QR_CHARACTERS_MAX
    assert read_request(from_qr_text(text)).machine == machine


def test_a_response_with_certificate_license_and_trust_bundle_fits_in_one_code() -> None:
    file = LicenseFile.from_json(VENDOR.license_file(a_license(), revoked=[1, 5], suspended=[2]))
    token = next(document.text for document in documents() if document.name == "installation certificate")
    response = Response(certificate=token, license=file)

    text = to_qr_text(response.to_json(indent=None))
    assert len(zlib.compress(response.to_json(indent=None).encode(), 9)) <= QR_BYTES_MAX
    assert len(text) <= QR_CHARACTERS_MAX
    assert Response.from_text(text) == response
    assert Response.from_text(response.to_json()) == response
    assert CERTIFICATE.issued_at == NOW


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "narrows-response/2"}', PREFIX, PREFIX + "€"])
def test_what_is_no_response_is_refused(text: str) -> None:
    with pytest.raises(DocumentUnreadable):
        Response.from_text(text)
