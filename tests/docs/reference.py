"""
Writes the reference pages that are generated from the code: `make reference`. A test checks that they are current.

`http-api.md` and `errors.md` come from the description of the API and the trees of errors, `roles.md` from the table of
permissions, `command-line.md` from the programs. `decisions/README.md` lists the decisions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import narrows.errors
from fastapi import FastAPI
from narrows_licensing.verdict import EXPLANATIONS
from narrows_server.access.roles import MEANINGS, PEOPLE_ONLY, Action, Role, permitted
from narrows_server.app import create_app
from narrows_server.errors import ServerError
from narrows_server.office import Office
from narrows_server.problems import OTHER_CODES

from .command_line import command_line

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
DECISIONS = REFERENCE.parent / "decisions"
_WRITTEN = "<!-- Written by `make reference`; change the code, not this page. -->\n"


def http_api() -> str:
    """Every operation, by tag."""
    description = _app().openapi()
    tags: dict[str, list[str]] = {}
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            tags.setdefault(operation["tags"][0], []).append(_operation(method, path, operation))
    head = f"""{_WRITTEN}
# HTTP API

The description for programs is at `/v1/openapi.json` (OpenAPI {description["openapi"]}) of every server.

* **Authentication.** `Authorization: Bearer nwk_…`. `narrows-server api-key make` makes a key, and so does
  `POST /v1/api-keys`; it is shown once. Signed reports, requests for seats and license logs need none.
* **Errors** are problem documents (RFC 9457, `application/problem+json`) with a stable `code` and a `request_id`; the
  codes are in [errors](errors.md).
* **Somebody else's things** do not exist: a foreign id gets the same 404 as one that was never given.
* **Once.** What changes something takes an `Idempotency-Key` (1 to 255 printable characters, kept for 24 hours): the
  same request again gets the same answer, with `Idempotency-Replayed: true`, and has no second effect. With another
  body it is refused with `idempotency_key_reused`. What was refused stores nothing and may be tried again.
* **Pages.** `limit` (1 to 500, 50 if left out) and `cursor`; `next_cursor` is null on the last page. Cursors are
  opaque.
* **Limits.** A body has at most 1 MiB unless the operation says otherwise (`body_too_large`). `RateLimit` and
  `RateLimit-Policy` say how many requests are left, by key and by address; 429 `rate_limited` has a `Retry-After`.
"""
    return head + "".join(f"\n## {tag[0].upper()}{tag[1:]}\n{''.join(texts)}" for tag, texts in sorted(tags.items()))


def errors() -> str:
    """What the SDK raises, and every code that a problem document may have."""
    tree = inspect.cleandoc((narrows.errors.__doc__ or "").split("\n\n", 1)[1])
    codes: list[tuple[str, int, str, str]] = [
        (kind.code, kind.status, kind.title, (kind.__doc__ or "").strip().splitlines()[0])
        for kind in _kinds(ServerError)
    ]
    codes += [(code, *told) for code, told in OTHER_CODES.items()]
    codes += [
        (reason.value, 403, explanation.sentence, "A license permits no encode.")
        for reason, explanation in EXPLANATIONS.items()
    ]
    rows = "".join(
        f"| `{code}` | {status} | {title} | {note.replace('|', chr(92) + '|')} |\n"
        for code, status, title, note in sorted(set(codes))
    )
    return f"""{_WRITTEN}
# Errors

## What the SDK raises

All that it raises on purpose is a `narrows.NarrowsError`. Anything else is a bug: please report it. Why a license is
refused, and what to do about it, is in [license states](license-states.md).

```text
{tree}
```

## What the server answers

Every error of the [API](http-api.md) is a problem document (RFC 9457): `type` is `urn:narrows:problem:` and the code,
`detail` says what happened and what to do, `request_id` is what to quote when asking about it. Codes never change their
meaning; new ones may be added, so treat an unknown code by its status.

| code | status | title | when |
|---|---|---|---|
{rows}"""


def roles() -> str:
    """Which role may do what."""
    head = " | ".join(role.value for role in Role)
    rows = "".join(
        f"| `{action.value}` | {MEANINGS[action]} | "
        + " | ".join("✓" if action in permitted(role) else "" for role in Role)
        + " |\n"
        for action in Action
    )
    people_only = " and ".join(f"`{action.value}`" for action in Action if action in PEOPLE_ONLY)
    return f"""{_WRITTEN}
# Roles and permissions

Every person has one role. A permission is also the scope of an API key, and nobody hands on more than they may do
themselves; {people_only} take a person and are never in a key.

People of the role `customer` belong to one customer, and so may keys. They see what belongs to that customer, and
nothing else exists for them.

| permission | meaning | {head} |
|---|---|{"---|" * len(Role)}
{rows}"""


def decisions() -> str:
    """The list of decisions, in order."""
    titles = ((path.name, path.read_text().partition("\n")[0]) for path in sorted(DECISIONS.glob("0*.md")))
    lines = "".join(f"* [{title.removeprefix('# ')}]({name})\n" for name, title in titles)
    return f"{_WRITTEN}\n# Decisions\n\nWhere a choice was open, what was chosen and why.\n\n{lines}"


PAGES: dict[str, Callable[[], str]] = {
    "http-api.md": http_api,
    "errors.md": errors,
    "roles.md": roles,
    "command-line.md": lambda: _WRITTEN + command_line(),
}


def main() -> None:
    for name, write in PAGES.items():
        (REFERENCE / name).write_text(write())
    (DECISIONS / "README.md").write_text(decisions())


def _app() -> FastAPI:
    # An application describes itself without ever opening its office.
    return create_app(cast(Office, None))


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    lines = [f"\n### {operation['summary']}\n", f"\n`{method.upper()} {path}` · `{operation['operationId']}`\n"]
    if operation.get("description"):
        lines.append(f"\n{operation['description']}\n")
    parameters = [p for p in operation.get("parameters", []) if p["name"] not in {"cursor", "limit", "Idempotency-Key"}]
    if parameters:
        lines.append("\n| parameter | in | |\n|---|---|---|\n")
        lines += [
            f"| `{p['name']}`{'' if p.get('required') else ' (optional)'} | {p['in']} | {p.get('description', '')} |\n"
            for p in parameters
        ]
    good = [f"{status} {HTTPStatus(int(status)).phrase}" for status in operation["responses"] if status < "400"]
    bad = [status for status in operation["responses"] if status >= "400"]
    lines.append(f"\nAnswers {', '.join(good)}; problems {', '.join(sorted(bad))}.\n")
    return "".join(lines)


def _kinds(kind: type[ServerError]) -> Iterator[type[ServerError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _kinds(child)


if __name__ == "__main__":
    main()
