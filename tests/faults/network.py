"""
A network of two machines on this one, and a link between them that a test cuts, slows and lets lose packets.

Each machine is a network namespace with a TUN device; what one sends is read here and handed to the other. So packets
are lost as they are on a real line, the kernels' TCP does the rest, and nothing of it depends on what the kernel was
built with (`tc netem` often is not). Takes root and the device /dev/net/tun; tests are skipped where they are missing.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

CLIENT, SERVER = "10.203.0.2", "10.203.0.1"
DEVICE: Final = "narrows0"
PACKET_BYTES_MAX: Final = 2_048
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_CLONE_NEWNET: Final = 0x40000000


@dataclass(slots=True)
class Link:
    """What happens to packets between the two. Change it at any time."""

    is_up: bool = True
    loss: float = 0.0  # The share of packets that is lost, in both directions.
    delay_seconds: float = 0.0  # Of every packet; they queue up, so it bounds the rate as well.
    loses_answers: bool = False  # Packets with data from the server are lost; its acknowledgements are not.
    cut_after_bytes: int | None = None  # From the client; then the link goes down.
    carried_bytes: int = 0  # From the client.
    chance: random.Random = field(default_factory=lambda: random.Random(1))

    def carries(self, packet: bytes, *, is_from_client: bool) -> bool:
        """Whether *packet* arrives."""
        if is_from_client:
            if self.cut_after_bytes is not None and self.carried_bytes + len(packet) > self.cut_after_bytes:
                self.is_up = False
            self.carried_bytes += len(packet) if self.is_up else 0
        if not self.is_up or self.chance.random() < self.loss:
            return False
        return is_from_client or not (self.loses_answers and _has_data(packet))


@dataclass(frozen=True, slots=True)
class Network:
    """The two machines, each as the beginning of a command that runs on it, and the link between them."""

    server: Sequence[str]
    client: Sequence[str]
    link: Link


@contextmanager
def a_network() -> Iterator[Network]:
    """Two machines until the end of the block. Skips the test where this machine does not permit it."""
    names = [f"narrows-{os.getpid()}-{end}" for end in ("server", "client")]
    with ExitStack() as stack:
        for name in names:
            _add_namespace(name)
            stack.callback(subprocess.run, ["ip", "netns", "delete", name], check=True)
        files = []
        for name, address in zip(names, (SERVER, CLIENT), strict=True):
            files.append(_open_device(name))
            stack.callback(os.close, files[-1])
            for command in (f"address add {address}/30 dev {DEVICE}", f"link set {DEVICE} up", "link set lo up"):
                subprocess.run(["ip", "-n", name, *command.split()], check=True)
        link = Link()
        is_over = threading.Event()
        carriers = [
            threading.Thread(target=_carry, args=(link, files[0], files[1], False, is_over)),
            threading.Thread(target=_carry, args=(link, files[1], files[0], True, is_over)),
        ]
        for carrier in carriers:
            carrier.start()
        try:
            server, client = (["nsenter", f"--net=/run/netns/{name}"] for name in names)
            yield Network(server, client, link)
        finally:
            is_over.set()
            for carrier in carriers:
                carrier.join()


def _add_namespace(name: str) -> None:
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("a network of our own takes Linux, root and /dev/net/tun")
    if not all(map(shutil.which, ("ip", "nsenter"))):
        pytest.skip("a network of our own takes the commands ip (iproute2) and nsenter (util-linux)")
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine permits no network namespaces: {done.stderr.strip()}")


def _open_device(namespace: str) -> int:
    """The file of a new TUN device in *namespace*; it is gone when the file is closed."""
    opened: list[int | OSError] = []

    def open_there() -> None:
        # The namespace is this thread's alone, and it ends here.
        try:
            with Path("/run/netns", namespace).open("rb") as entry:
                if ctypes.CDLL(None, use_errno=True).setns(entry.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
            opened.append(file)
        except OSError as error:
            opened.append(error)

    thread = threading.Thread(target=open_there)
    thread.start()
    thread.join()
    (result,) = opened
    if isinstance(result, OSError):
        pytest.skip(f"this machine permits no TUN device: {result}")
    return result


def _carry(link: Link, source: int, target: int, is_from_client: bool, is_over: threading.Event) -> None:
    while not is_over.is_set():
        try:
            packet = os.read(source, PACKET_BYTES_MAX)
        except BlockingIOError:
            time.sleep(0.001)
            continue
        if link.delay_seconds:
            time.sleep(link.delay_seconds)
        if link.carries(packet, is_from_client=is_from_client):
            os.write(target, packet)


def _has_data(packet: bytes) -> bool:
    """Whether an IPv4 packet of TCP carries any bytes of the stream (RFC 791, RFC 9293)."""
    head = (packet[0] & 15) * 4
    if packet[0] >> 4 != 4 or packet[9] != 6:
        return False
    return int.from_bytes(packet[2:4], "big") > head + (packet[head + 12] >> 4) * 4
