"""The statement of account on paper: PDF/A-3b by typst, from its document alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from importlib.resources import as_file, files
from typing import Any

import typst

from narrows_server.invoices.texts import Texts, texts_in


def render(account: Mapping[str, Any]) -> bytes:
    """The PDF of a statement of account; the same account gives the same bytes."""
    last_day = date.fromisoformat(account["last_day"])
    with as_file(files("narrows_server.payments") / "account.typ") as template:
        pdf: bytes = typst.compile(
            template,
            format="pdf",
            ignore_system_fonts=True,
            sys_inputs={"page": json.dumps(page(account))},
            pdf_standards=["a-3b"],
            timestamp=datetime(last_day.year, last_day.month, last_day.day, tzinfo=UTC),
        )
    return pdf


def page(account: Mapping[str, Any]) -> dict[str, Any]:
    """Every text of the paper, finished."""
    texts, currency = texts_in(account["buyer"]["language"]), account["currency"]
    first, last = (date.fromisoformat(account[name]) for name in ("first_day", "last_day"))
    closing = account["closing_minor"]
    return {
        "language": texts.language,
        "title": texts["statement_of_account"],
        "date": {"year": last.year, "month": last.month, "day": last.day},
        "seller": account["seller"]["name"],
        "buyer": [account["buyer"]["name"], *account["buyer"]["address"], _town(account["buyer"])],
        "heading": texts.say("account_period", first=texts.day(first), last=texts.day(last)),
        "columns": [
            texts[f"account_{name}"] for name in ("day", "what")
        ] + [f"{texts[f'account_{name}']} ({currency})" for name in ("owed", "paid", "balance")],
        "rows": [
            ["", texts["opening"], "", "", texts.amount(account["opening_minor"], currency)],
            *(_row(line, currency, texts) for line in account["lines"]),
        ],
        "closing": {
            "label": texts["closing"] + (f" {texts['in_your_favour']}" if closing < 0 else ""),
            "amount": texts.money(abs(closing), currency),
        },
        "open_title": texts["open_items"],
        "open_columns": [texts["number"], texts["due"], texts["days_overdue"], f"{texts['open_amount']} ({currency})"],
        "open_rows": [
            [
                one["number"],
                texts.short_day(date.fromisoformat(one["due_on"])),
                str(one["days_overdue"]) if one["days_overdue"] else "–",
                texts.amount(one["receivable_minor"], currency),
            ]
            for one in account["open_invoices"]
        ],
        "page": texts["page"],
        "page_of": texts["page_of"],
    }  # fmt: skip


def _row(line: Mapping[str, Any], currency: str, texts: Texts) -> list[str]:
    minor = line["minor"]
    return [
        texts.short_day(date.fromisoformat(line["day"])),
        f"{texts[line['kind']]} {line['reference']}",
        texts.amount(minor, currency) if minor > 0 else "",
        texts.amount(-minor, currency) if minor < 0 else "",
        texts.amount(line["balance_minor"], currency),
    ]


def _town(party: Mapping[str, Any]) -> str:
    return " ".join(text for text in (party["postcode"], party["city"]) if text)
