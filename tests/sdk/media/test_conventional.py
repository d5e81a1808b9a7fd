"""Conventional encoders code what they are given, and leave the process as it was."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import pytest
from narrows.errors import VideoError
from narrows.media.conventional import keeping_priority, open_encoder
from narrows.media.frames import to_frame

from ..builders import a_picture

MAY_BE_REAL_TIME = hasattr(os, "geteuid") and os.geteuid() == 0
POLICIES_AFTER = """
import os, sys
from fractions import Fraction
from narrows.media.conventional import open_encoder
open_encoder("libsvtav1", size=(192, 176), pixel_format="yuv420p", rate=Fraction(25), options={"preset": "8"})
print({os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")})
"""


@pytest.mark.parametrize("name", ["libx264", "libx265", "libsvtav1"])
def test_it_codes_what_it_is_given(name: str) -> None:
    encoder = open_encoder(name, size=(192, 176), pixel_format="yuv420p", rate=Fraction(25), options={})

    packets = []
    for index in range(3):
        frame = to_frame(a_picture(192, 176, shift=index))
        frame.pts = index
        packets += encoder.encode(frame)
    packets += encoder.encode(None)

    assert len(packets) == 3


def test_an_encoder_that_is_not_there_is_named() -> None:
    with pytest.raises(VideoError, match="no libnothing"):
        open_encoder("libnothing", size=(192, 176), pixel_format="yuv420p", rate=Fraction(25), options={})


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="no list of threads here")
def test_no_thread_becomes_a_real_time_one() -> None:
    """In a process of its own: SVT-AV1 would make it, and everything it starts, one of the highest priority."""
    done = subprocess.run([sys.executable, "-c", POLICIES_AFTER], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == str({os.SCHED_OTHER})


@pytest.mark.skipif(not MAY_BE_REAL_TIME, reason="only root may ask for real time")
def test_who_was_a_real_time_thread_stays_one() -> None:
    seen = []

    def promoted() -> None:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        with keeping_priority():
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))
        seen.append((os.sched_getscheduler(0), os.sched_getparam(0).sched_priority))

    thread = threading.Thread(target=promoted)
    thread.start()
    thread.join()

    assert seen == [(os.SCHED_RR, 1)]
