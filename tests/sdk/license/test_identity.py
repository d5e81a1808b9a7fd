"""Who is asking: what each binding needs is gathered, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from narrows.installation import Installation
from narrows.license.identity import identify, machine_facts
from narrows.settings import Settings
from narrows_licensing.binding import UNBOUND, Applications, Identity, Workloads, bind_components
from narrows_licensing.binding import Installation as InstallationBinding
from narrows_licensing.testing import NOW

from tests.licensing.test_workload import SUBJECT, a_token, the_issuer
from tests.sdk.builders import settings_in


def a_machine(root: Path, **changes: str) -> Path:
    """The files of a Linux machine from which facts are read."""
    files = {
        "etc/machine-id": "4f1d\n",
        "sys/class/dmi/id/board_serial": "B-77\n",
        "sys/class/net/eth0/device/vendor": "0x8086",
        "sys/class/net/eth0/address": "52:54:00:12:34:56\n",
        "sys/class/net/lo/address": "00:00:00:00:00:00\n",
        "dev/disk/by-id/nvme-1": "",
        "proc/sys/kernel/hostname": "encoder-1\n",
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: Some Processor\n",
    } | changes
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_a_license_bound_to_nothing_asks_for_nothing(tmp_path: Path) -> None:
    assert identify(UNBOUND, settings_in(tmp_path), at=NOW) == Identity()
    assert not (tmp_path / "state").exists()


def test_an_application_says_who_it_is(tmp_path: Path) -> None:
    settings = replace(settings_in(tmp_path), application_id="com.example.player")

    assert identify(Applications(ids=("x",)), settings, at=NOW) == Identity(application_id="com.example.player")


def test_an_installation_is_known_by_its_key(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    binding = InstallationBinding(thumbprint=Installation.open(settings.state_folder).id)

    assert binding.mismatch(identify(binding, settings, at=NOW)) is None


class TestMachines:
    def test_six_facts_of_a_linux_machine_are_read(self, tmp_path: Path) -> None:
        assert machine_facts(a_machine(tmp_path)) == {
            "machine_id": "4f1d",
            "board": "B-77",
            "disk": "nvme-1",
            "network": "52:54:00:12:34:56",
            "hostname": "encoder-1",
            "processor": "Some Processor",
        }

    def test_an_empty_machine_has_no_facts_and_no_errors(self, tmp_path: Path) -> None:
        assert machine_facts(tmp_path) == {}

    def test_a_new_name_and_a_new_card_are_no_matter_and_another_machine_is(self, tmp_path: Path) -> None:
        binding = bind_components(machine_facts(a_machine(tmp_path / "old")), required=4, salt="s" * 22)
        repaired = a_machine(
            tmp_path / "new", **{"proc/sys/kernel/hostname": "b", "sys/class/net/eth0/address": "52:54:00:99:99:99"}
        )

        assert binding.mismatch(Identity(components=machine_facts(repaired))) is None
        assert binding.mismatch(Identity(components={"board": "another", "processor": "Some Processor"}))


class TestPods:
    binding = Workloads(issuer=the_issuer(), subjects=(SUBJECT,))

    def settings(self, folder: Path, token: str | None) -> Settings:
        path = folder / "token"
        if token is not None:
            path.write_text(token + "\n")
        return replace(settings_in(folder), workload_token_path=path)

    def test_a_projected_token_is_read_every_time(self, tmp_path: Path) -> None:
        settings = self.settings(tmp_path, a_token())
        assert self.binding.mismatch(identify(self.binding, settings, at=NOW)) is None

        self.settings(tmp_path, a_token(sub="system:serviceaccount:media:intern"))
        assert self.binding.mismatch(identify(self.binding, settings, at=NOW))

    def test_why_there_is_no_workload_is_said(self, tmp_path: Path) -> None:
        missing = self.binding.mismatch(identify(self.binding, self.settings(tmp_path, None), at=NOW))
        broken = self.binding.mismatch(identify(self.binding, self.settings(tmp_path, "x" * 100_000), at=NOW))

        assert missing is not None
        assert "can't be read" in missing
        assert broken is not None
        assert "more than" in broken
