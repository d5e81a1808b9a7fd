"""The command line's `narrows license borrow | bring-back`, for floating licenses. Encodes take seats by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

import typer
from narrows_licensing.license import BORROW_DAYS_MAX
from narrows_licensing.verdict import Reason, Refused

from narrows.cli.terminal import Json, LicensePath, reports_errors, show
from narrows.errors import LicenseRefused
from narrows.license.gate import read_license, refusal
from narrows.license.place import take_place
from narrows.license.seat import SeatKeeper, World
from narrows.settings import Settings


@reports_errors
def borrow(
    days: Annotated[int, typer.Option(help="For how long.", min=1, max=BORROW_DAYS_MAX)],
    license: LicensePath = None,
    as_json: Json = False,
) -> None:
    """
    Take a seat along: until it ends, this machine encodes without asking anybody.

    Example: narrows license borrow --days 7
    """
    settings = Settings.read(license_path=license)
    with _keeper(settings) as keeper:
        if keeper.borrowed_until is None:
            keeper.ask(borrow=timedelta(days=days))
        until = keeper.borrowed_until
        if until is None:
            raise _no_seat(settings, keeper.detail)
    show({"borrowed_until": until}, as_json=as_json, title="borrowed")


@reports_errors
def bring_back(license: LicensePath = None, as_json: Json = False) -> None:
    """
    Give a borrowed seat back before its end.

    Example: narrows license bring-back
    """
    settings = Settings.read(license_path=license)
    with _keeper(settings) as keeper:
        if keeper.borrowed_until is None:
            raise _no_seat(settings, "no seat was borrowed")
        if not keeper.bring_back():
            raise _no_seat(settings, "nobody has heard that the seat is back; it ends by itself")
    show({"is_back": True}, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the commands to `narrows license`."""
    app.command("borrow")(borrow)
    app.command("bring-back")(bring_back)


@contextmanager
def _keeper(settings: Settings) -> Iterator[SeatKeeper]:
    world = World()
    read = read_license(settings, world.clock())
    if isinstance(read, Refused):
        raise refusal(read, settings.license_path)
    token, opened = read
    if opened.license.lease is None:
        raise _no_seat(settings, "the license does not float, it needs no seat")
    place = take_place(settings.state_folder)
    if place is None:
        raise _no_seat(settings, "too many encodes run on this machine")
    keeper = SeatKeeper(settings, opened, token, place=place, world=world)
    try:
        yield keeper
    finally:
        keeper.close()


def _no_seat(settings: Settings, detail: str) -> LicenseRefused:
    return refusal(Refused(reason=Reason.NO_SEAT, detail=detail), settings.license_path)
