"""
Every way in which this server says no.

    ServerError                    catch-all; never raised itself
    ├── HomeMissing                no state folder was named
    ├── NotInitialised             the state folder has no keys or database yet
    ├── Invalid                    what was asked makes no sense; the detail says which value
    ├── NotFound                   no such thing, or not yours
    ├── NotMergedYet               a report that is accepted and not in the transparency log yet
    ├── AlreadyExists              the id is taken
    ├── ApprovalMissing            one person may not do this alone
    ├── SignInRequired             no API key and no session, or one that opens nothing
    ├── NotPermitted               known, but may not do this
    ├── SignInRefused              single sign-on went wrong; begin again
    ├── InvitationEnded            a link that was used before or is too old
    ├── FormRefused                a form that does not come from a page of ours
    ├── CursorInvalid              a cursor of another list, or of none
    ├── IdempotencyKeyReused       the same idempotency key with another request
    ├── BodyTooLarge               a body of more bytes than the endpoint takes
    ├── RateLimited                too many requests in a short time
    ├── TooManyAttempts            too many wrong passwords or codes; says how long to wait
    ├── ReportTooLarge             a report of more bytes than `narrows_metering` allows
    ├── ReportNotRead              the body is not a report
    ├── ReportNotTrusted           a signature, the chain or the license inside is wrong
    ├── ClockInDoubt               the clock of this machine jumped while the server ran
    ├── LeaseNotRead               the body is not a request for a seat
    └── LeaseNotTrusted            a request for a seat of a license that is not ours

Each class has a stable `code` and the HTTP `status` it is rendered with by `problems`. Outcomes that are expected
and leave something behind (a conflict, a gap) are values and not errors: see `usage.service`.
"""

from __future__ import annotations

from typing import ClassVar


class ServerError(Exception):
    """Catch-all for callers. `str()` is a sentence for the person who has to act on it."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "The server could not do this"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class HomeMissing(ServerError):
    """Raised before anything is opened, when no state folder was named."""

    code = "home_missing"


class NotInitialised(ServerError):
    """Raised when a command needs keys or a database that `narrows-server init` makes."""

    code = "not_initialised"


class Invalid(ServerError):
    """A value from a person or a program that cannot be meant."""

    code, status, title = "invalid", 422, "This cannot be done as asked"


class NotFound(ServerError):
    """No such thing. A thing that belongs to somebody else gives the same answer."""

    code, status, title = "not_found", 404, "There is no such thing"


class NotMergedYet(ServerError):
    """The report was accepted; the tree that was asked for is older than that."""

    code, status, title = "not_merged_yet", 404, "The report is not in the log yet"


class AlreadyExists(ServerError):
    """The id that was asked for is taken."""

    code, status, title = "already_exists", 409, "This exists already"


class ApprovalMissing(ServerError):
    """Two people have to agree, and these are the same one."""

    code, status, title = "approval_missing", 403, "A second person has to approve this"


class SignInRequired(ServerError):
    """No API key and no session, or one that opens nothing (any more)."""

    code, status, title = "sign_in_required", 401, "Sign in, or send an API key"


class NotPermitted(ServerError):
    """We know who asks, and they may not do this. The detail names the permission that it takes."""

    code, status, title = "not_permitted", 403, "This is not permitted"


class SignInRefused(ServerError):
    """The answer of the single sign-on is not believed, or not for an account that exists here."""

    code, status, title = "sign_in_refused", 403, "Single sign-on did not work"


class InvitationEnded(ServerError):
    """The link was used before or is too old."""

    code, status, title = "invitation_ended", 410, "This link does not work any more"


class FormRefused(ServerError):
    """A form, or a change by a session, that does not prove that it comes from a page of ours."""

    code, status, title = "form_refused", 403, "This form cannot be taken"


class CursorInvalid(ServerError):
    """The cursor was not given out by this list."""

    code, status, title = "cursor_invalid", 422, "The cursor cannot be used here"


class IdempotencyKeyReused(ServerError):
    """The idempotency key came before, with another request. Nothing was done."""

    code, status, title = "idempotency_key_reused", 422, "This idempotency key was used for another request"


class BodyTooLarge(ServerError):
    """The body has more bytes than this endpoint takes. It was not read."""

    code, status, title = "body_too_large", 413, "The body is too large"


class RateLimited(ServerError):
    """Too many requests in a short time. `Retry-After` says when the next one is answered."""

    code, status, title = "rate_limited", 429, "Too many requests"


class TooManyAttempts(ServerError):
    """Too many wrong passwords or codes from here or for this account. Known and unknown accounts get the same."""

    code, status, title = "too_many_attempts", 429, "Too many attempts"

    def __init__(self, detail: str, *, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class ReportTooLarge(ServerError):
    """The body is larger than any report may be."""

    code, status, title = "report_too_large", 413, "The report is too large"


class ReportNotRead(ServerError):
    """The body cannot be read as a report; sending it again will not help."""

    code, status, title = "report_unreadable", 400, "The report cannot be read"


class ReportNotTrusted(ServerError):
    """The report reads well but cannot be attributed: a signature, the chain or its license is wrong."""

    code, status, title = "report_refused", 422, "The report is not accepted"


class ClockInDoubt(ServerError):
    """The clock of the server's machine jumped while it ran. It does nothing until it is right, or started anew."""

    code, status, title = "clock_in_doubt", 503, "The clock of this server jumped"


class LeaseNotRead(ServerError):
    """The body cannot be read as a request for a seat; sending it again will not help."""

    code, status, title = "lease_request_unreadable", 400, "The request for a seat cannot be read"


class LeaseNotTrusted(ServerError):
    """The request reads well, but the license inside it is not one of ours."""

    code, status, title = "lease_request_refused", 422, "The request for a seat is not accepted"
