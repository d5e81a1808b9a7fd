"""What the usage endpoints say, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel

from narrows_server.paging import Page, Paged
from narrows_server.usage.models import OpenGap
from narrows_server.usage.repository import InstallationOverview
from narrows_server.usage.standing import Standing, standing


class ReceiptOut(BaseModel):
    """The answer to an accepted report."""

    receipt: str  # A JWS of type narrows-receipt+jwt.


class GapOut(BaseModel):
    """Records that an installation must have and that we lack: complete to one, missing from the next to the last."""

    installation_id: str
    customer_id: str
    contract_id: str
    complete_to: int
    missing_first: int
    missing_last: int
    seen_at: datetime

    @classmethod
    def of(cls, gap: OpenGap, *, head_seq: int) -> GapOut:
        return cls(
            installation_id=gap.installation_id,
            customer_id=gap.customer_id,
            contract_id=gap.contract_id,
            complete_to=head_seq,
            missing_first=head_seq + 1,
            missing_last=gap.last_missing,
            seen_at=gap.seen_at,
        )


class InstallationOut(BaseModel):
    """An installation and its usage so far."""

    id: str
    customer_id: str
    contract_id: str
    license_id: str
    sdk: str
    standing: Standing
    enrolled_at: datetime
    reported_at: datetime
    records: int  # All from the first on: complete to this number.
    encodes: int
    delivered_bytes: int
    forks: int
    gap: GapOut | None
    forked_from: str | None
    forked_at_seq: int | None  # The last record of `forked_from` that this installation continues.
    continued_as: str | None

    @classmethod
    def of(cls, overview: InstallationOverview, *, at: datetime) -> InstallationOut:
        installation, gap = overview.installation, overview.gap
        return cls(
            id=installation.id,
            customer_id=installation.customer_id,
            contract_id=installation.contract_id,
            license_id=installation.license_id,
            sdk=installation.sdk,
            standing=standing(overview, at),
            enrolled_at=installation.enrolled_at,
            reported_at=installation.reported_at,
            records=installation.head_seq,
            encodes=installation.encode_count,
            delivered_bytes=installation.delivered_bytes,
            forks=overview.fork_count,
            gap=None if gap is None else GapOut.of(gap, head_seq=installation.head_seq),
            forked_from=overview.forked_from,
            forked_at_seq=None if overview.forked_from is None else installation.previous_seq,
            continued_as=overview.continued_as,
        )


class InstallationsOut(Page[InstallationOut]):
    """A page of installations, and every gap: also those of installations whose first record never came."""

    gaps: list[GapOut]

    @classmethod
    def of(
        cls, page: Paged[InstallationOverview], gaps: Sequence[OpenGap], *, heads: Mapping[str, int], at: datetime
    ) -> InstallationsOut:
        return cls(
            items=[InstallationOut.of(overview, at=at) for overview in page.rows],
            next_cursor=page.next_cursor,
            gaps=[GapOut.of(gap, head_seq=heads.get(gap.installation_id, 0)) for gap in gaps],
        )
