"""
`make invoices`: every golden invoice as CII, UBL and PDF, judged by the official rules, and every broken field noticed.

Prints what was looked at and how long documents take; the exit code is 1 if anything fails.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import facturx
import pikepdf
import typst
from narrows_server.invoices import cii, pdf, ubl
from rich.console import Console

from .golden import golden
from .mutations import CII, UBL, Mutation
from .rules import rules, summary

console = Console()
WARM_MILLISECONDS_MAX = 400
TIMED = ("with-statement", "DE-to-DE", "DE-to-FR", "many-lines", "credit-note-over-cap")
PEER = "#set page(paper: \"a4\")\n= Invoice\n#table(columns: 3, [1], [Share], [2,924.44])\n"  # fmt: skip


def check_xml() -> dict[str, Any]:
    """Every golden document in both syntaxes."""
    verdicts = {
        f"{name}.{syntax}": rules().check(write(document))
        for name, document in golden().items()
        for syntax, write in (("cii", cii.write), ("ubl", ubl.write))
    }
    unclean = {name: [*one.schema, *one.failed] for name, one in verdicts.items() if not one.is_clean}
    return {**summary(verdicts), "unclean": unclean}


def check_mutations() -> dict[str, Any]:
    """Every broken field: which rules notice it."""
    documents = golden()
    noticed: dict[str, list[str]] = {}
    for syntax, write, mutations in (("cii", cii.write, CII), ("ubl", ubl.write, UBL)):
        for mutation in mutations:
            noticed[f"{syntax}: {mutation.term}"] = judge(mutation, write, documents)
    missed = [term for term, by in noticed.items() if not by]
    return {"mutations": len(noticed), "noticed": len(noticed) - len(missed), "missed": missed, "by": noticed}


def judge(
    mutation: Mutation, write: Callable[[Mapping[str, Any]], bytes], documents: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """What notices a mutation."""
    verdict = rules().check(mutation.apply(write(documents[mutation.document])))
    return [*verdict.failed, *verdict.schema]


def check_pdf(names: list[str] | None = None) -> dict[str, Any]:
    """Papers: the same bytes twice, PDF/A-3, Factur-X of the right level, and the XML inside is the XML."""
    documents = golden()
    wrong: list[str] = []
    hashes = hashlib.sha256()
    for name in names or list(documents):
        first, again = pdf.render(documents[name]), pdf.render(documents[name])
        hashes.update(first)
        wrong += [f"{name}: {fault}" for fault in faults_of(first, cii.write(documents[name]))]
        if first != again:
            wrong.append(f"{name}: two runs gave different bytes")
    return {"papers": len(names or documents), "faults": wrong, "sha256_of_all": hashes.hexdigest()}


def faults_of(paper: bytes, xml: bytes) -> list[str]:
    """What is wrong with a paper that should carry *xml*."""
    faults = []
    inside_name, inside = facturx.get_xml_from_pdf(paper, check_xsd=True, check_schematron=False)
    if (inside_name, inside) != ("factur-x.xml", xml):
        faults.append("the XML inside is another one")
    with pikepdf.open(io.BytesIO(paper)) as opened, opened.open_metadata() as metadata:
        marks = {
            "pdfaid:part": "3",
            "pdfaid:conformance": "B",
            "{urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#}ConformanceLevel": "EN 16931",
            "{urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#}DocumentFileName": "factur-x.xml",
            "{urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#}DocumentType": "INVOICE",
            "{urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#}Version": "1.0",
        }
        faults += [f"{key} is {metadata.get(key)!r}" for key, value in marks.items() if metadata.get(key) != value]
        (attached,) = opened.Root.AF
        if (str(attached.AFRelationship), str(attached.F)) != ("/Alternative", "factur-x.xml"):
            faults.append("the attachment is not associated as it must be")
        if "/OutputIntents" not in opened.Root:
            faults.append("no output intent")
    return faults


def measure(repeats: int) -> dict[str, Any]:
    """Milliseconds of one whole warm document, CII, UBL and PDF with XML, beside a plain typst page."""
    documents = golden()
    found: dict[str, float] = {}
    for name in TIMED:
        document = documents[name]
        pdf.render(document)
        found[name] = _median(lambda document=document: (ubl.write(document), pdf.render(document)), repeats)  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "peer.typ"
        source.write_text(PEER)
        peer = _median(lambda: typst.compile(source, format="pdf", ignore_system_fonts=True), repeats)
    return {"milliseconds": found, "worst": max(found.values()), "plain_typst_page": peer}


def _median(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1000)
    return round(sorted(times)[len(times) // 2], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9, help="how often each document is timed")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    chosen = parser.parse_args()
    xml = check_xml()
    broken = check_mutations()
    papers = check_pdf()
    speed = measure(chosen.repeats)
    is_good = not (xml["unclean"] or broken["missed"] or papers["faults"] or speed["worst"] >= WARM_MILLISECONDS_MAX)
    if chosen.json:
        report = {"xml": xml, "mutations": broken, "papers": papers, "speed": speed, "is_good": is_good}
        console.print_json(json.dumps(report))
        sys.exit(0 if is_good else 1)
    console.print(
        f"{xml['documents']} e-invoices ({xml['documents'] // 2} golden documents as CII and UBL): "
        f"{xml['failed_asserts']} failed asserts, {xml['schema_errors']} schema errors, "
        f"{xml['rules_fired']:,} rules fired"
    )
    console.print(f"{broken['noticed']} of {broken['mutations']} broken fields noticed")
    console.print(f"{papers['papers']} papers rendered twice: {len(papers['faults'])} faults")
    console.print(
        f"one document, warm: {speed['worst']} ms at worst (limit {WARM_MILLISECONDS_MAX} ms); "
        f"a plain typst page: {speed['plain_typst_page']} ms"
    )
    for fault in [*(f"{name}: {why}" for name, why in xml["unclean"].items()), *broken["missed"], *papers["faults"]]:
        console.print(f"[red]✗[/] {fault}")
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
