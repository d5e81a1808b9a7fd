"""`narrows doctor`: whether this machine decodes, encodes and reports, for people, programs and scripts."""

from __future__ import annotations

import json
from pathlib import Path

from narrows.doctor.examination import Examination, examine
from narrows.finding import Finding, Outcome

from ..cli.test_app import narrows
from ..vendor import Vendor, connect_by


def a_finding(outcome: Outcome) -> Finding:
    return Finding(check="some", outcome=outcome, detail="seen")


def an_examination(software: Outcome, permission: Outcome, server: Outcome) -> Examination:
    return Examination(
        software=(a_finding(software),), permission=(a_finding(permission),), server=(a_finding(server),)
    )


def test_who_can_not_decode_can_not_encode_and_who_can_not_report_can() -> None:
    good, bad, skipped = Outcome.GOOD, Outcome.BAD, Outcome.SKIPPED

    no_codec = an_examination(bad, good, good)
    assert (no_codec.decodes, no_codec.encodes, no_codec.reports) == (False, False, True)
    no_license = an_examination(Outcome.NOTICE, bad, skipped)
    assert (no_license.decodes, no_license.encodes, no_license.reports) == (True, False, None)
    no_server = an_examination(good, good, bad)
    assert (no_server.decodes, no_server.encodes, no_server.reports) == (True, True, False)
    assert not no_server.is_fine
    assert an_examination(good, Outcome.NOTICE, skipped).is_fine


def test_a_machine_with_a_license_and_a_server_can_do_everything_and_each_check_has_one_name(vendor: Vendor) -> None:
    machine = vendor.equip()
    vendor.record(machine, 1_000)
    seen = examine(machine, at=vendor.clock(), online=True, connect=connect_by(vendor.wire()))

    assert (seen.decodes, seen.encodes, seen.reports) == (True, True, True), seen.findings
    names = [finding.check for finding in seen.findings]
    assert len(names) == len(set(names))
    assert {"trust bundle", "license", "unreported usage", "durability", "server"} <= set(names)


def test_whatever_is_not_good_says_what_to_do(vendor: Vendor) -> None:
    machine = vendor.equip()
    machine.license_path.write_text("rubbish")
    seen = examine(machine, at=vendor.clock())

    assert not seen.encodes
    assert all(finding.todo for finding in seen.findings if finding.outcome in {Outcome.NOTICE, Outcome.BAD})


def test_the_command_says_the_same_to_people_programs_and_scripts(tmp_path: Path) -> None:
    before = narrows(tmp_path, "doctor", "--json")
    told = json.loads(before.stdout)
    assert (told["decodes"], told["encodes"], told["reports"], before.returncode) == (True, False, None, 1)
    assert {"check": "license", "outcome": "bad"}.items() <= told["findings"][-2].items()
    assert narrows(tmp_path, "license", "development").returncode == 0
    after = narrows(tmp_path, "doctor")
    assert after.returncode == 0, after.stdout
    assert after.stdout.splitlines()[-1] == "decodes: yes, encodes: yes, reports: not known"
    assert not (tmp_path / "state").exists()  # Nothing was made.
