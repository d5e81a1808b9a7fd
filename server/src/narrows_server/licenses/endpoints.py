"""Licenses for those who may read. They are issued at the command line only, where the keys are."""

from __future__ import annotations

from fastapi import APIRouter

from narrows_server.licenses import repository
from narrows_server.licenses.schemas import LicenseOut, LicensesOut
from narrows_server.web import OfficeOf, Reader

router = APIRouter(prefix="/v1", tags=["licenses"])


@router.get("/licenses", dependencies=[Reader], summary="Licenses, newest first")
def get_licenses(office: OfficeOf) -> LicensesOut:
    with office.database.snapshot() as session:
        return LicensesOut(
            items=[LicenseOut.of(issued, office.clock()) for issued in repository.list_licenses(session)]
        )
