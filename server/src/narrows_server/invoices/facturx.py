"""
What makes a PDF/A-3 that carries our CII a Factur-X file: the entries in its XMP metadata.

typst embeds the XML and associates it with the document; it cannot describe it. Source: Factur-X 1.0 / ZUGFeRD 2,
"Technical appendix", the XMP extension schema of `urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#`; for how PDF/A
wants a schema of one's own described, ISO 19005-3, 6.6.2.3.
"""

from __future__ import annotations

import io
from typing import Final

import pikepdf

FILE_NAME: Final = "factur-x.xml"
RELATIONSHIP: Final = "alternative"  # The XML says the same as the page, as the German rules ask for it.

_URI = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
_PROPERTIES = {
    "DocumentFileName": "name of the embedded XML invoice file",
    "DocumentType": "INVOICE",
    "Version": "version of the XML schema of the embedded invoice",
    "ConformanceLevel": "conformance level of the embedded invoice",
}
_VALUES = {
    "DocumentFileName": FILE_NAME,
    "DocumentType": "INVOICE",  # Credit notes as well: the other type is for orders.
    "Version": "1.0",
    "ConformanceLevel": "EN 16931",
}
_SCHEMAS_END = b"</rdf:Bag></pdfaExtension:schemas>"
_RDF_END = b"</rdf:RDF>"


def describe(pdf: bytes) -> bytes:
    """*pdf*, of typst, with its metadata saying that it is a Factur-X file. The same bytes give the same bytes."""
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        metadata = opened.Root.Metadata.read_bytes()
        assert metadata.count(_SCHEMAS_END) == metadata.count(_RDF_END) == 1, "typst writes its metadata otherwise now"
        described = metadata.replace(_SCHEMAS_END, _schema() + _SCHEMAS_END).replace(_RDF_END, _values() + _RDF_END)
        opened.Root.Metadata.write(described)
        out = io.BytesIO()
        opened.save(out, deterministic_id=True)
    return out.getvalue()


def _schema() -> bytes:
    properties = "".join(
        '<rdf:li rdf:parseType="Resource">'
        f"<pdfaProperty:name>{name}</pdfaProperty:name><pdfaProperty:valueType>Text</pdfaProperty:valueType>"
        "<pdfaProperty:category>external</pdfaProperty:category>"
        f"<pdfaProperty:description>{meaning}</pdfaProperty:description></rdf:li>"
        for name, meaning in _PROPERTIES.items()
    )
    return (
        '<rdf:li rdf:parseType="Resource"><pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>'
        f"<pdfaSchema:namespaceURI>{_URI}</pdfaSchema:namespaceURI><pdfaSchema:prefix>fx</pdfaSchema:prefix>"
        f"<pdfaSchema:property><rdf:Seq>{properties}</rdf:Seq></pdfaSchema:property></rdf:li>"
    ).encode()


def _values() -> bytes:
    values = "".join(f"<fx:{name}>{value}</fx:{name}>" for name, value in _VALUES.items())
    return f'<rdf:Description rdf:about="" xmlns:fx="{_URI}">{values}</rdf:Description>'.encode()
