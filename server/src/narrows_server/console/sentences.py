"""What a usage record says, in one line; the record itself stands beside it."""

from __future__ import annotations

from narrows_metering.payload import (
    MEASURED,
    Delivery,
    Encode,
    Event,
    Evidence,
    Gap,
    GapReason,
    Lifecycle,
    Unreadable,
    read_delivery,
    read_encode,
    read_evidence,
    read_gap,
    read_lifecycle,
)
from narrows_metering.record import Kind, Record

from narrows_server import wording
from narrows_server.console.rendering import short

_READ = {
    Kind.ENCODE: read_encode,
    Kind.EVIDENCE: read_evidence,
    Kind.DELIVERY: read_delivery,
    Kind.GAP: read_gap,
    Kind.LIFECYCLE: read_lifecycle,
}
_EVENTS = {
    Event.ENROLLED: "the installation begins",
    Event.SDK_CHANGED: "another version of the SDK",
    Event.CLOCK_SET_BACK: "the machine’s clock was set back",
    Event.REIDENTIFIED: "goes on as another installation: the server holds other records under its name",
    Event.RECOVERED: "goes on as another installation: its ledger was damaged",
    Event.RESTORED: "goes on as another installation: its ledger was an older copy",
}
_GAPS = {
    GapReason.DAMAGED: "damaged",
    GapReason.LOST: "lost",
    GapReason.PRUNED: "removed under a receipt, and then wanted again",
}


def sentence(record: Record) -> str:
    """One line for whoever looks down a list of records."""
    match _READ[record.kind](record.payload):
        case Encode() as one:
            size = f"{one.width} × {one.height}, {wording.exact(one.frame_count)} frames"
            return f"{wording.volume(one.bytes_ours)} of rendition {short(one.rendition, 8)}, {size}"
        case Evidence() as one if one.status == MEASURED:
            ours, theirs = wording.volume(one.bytes_ours), wording.volume(one.bytes_baseline or 0)
            return f"{ours} where {one.baseline} needs {theirs}, rendition {short(one.rendition, 8)}"
        case Evidence() as one:
            return f"rendition {short(one.rendition, 8)} could not be compared: {one.status.replace('_', ' ')}"
        case Delivery() as one:
            window = wording.moment(one.window_start)
            return f"{wording.volume(one.bytes_delivered)} of rendition {short(one.rendition, 8)} from {window}"
        case Gap() as one:
            records = f"{one.first_seq}–{one.last_seq}" if one.last_seq else f"from {one.first_seq}"
            return f"records {records} of {short(one.installation, 8)} are {_GAPS[one.reason]}"
        case Lifecycle() as one:
            return _EVENTS[one.event]
        case Unreadable() as fault:
            return f"cannot be counted: {fault.member} is missing or malformed"
