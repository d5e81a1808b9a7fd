"""Errors over HTTP: always a problem document, never the inside of the server."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from narrows_server import problems
from sqlalchemy.exc import OperationalError

from .builders import Browser


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [("/v1/nothing", 404, "not_found"), ("/v1/invoices/INV-2026-000009/pdf", 404, "not_found")],
)
def test_what_does_not_exist_is_a_problem_with_a_stable_code(admin: Browser, path: str, status: int, code: str) -> None:
    answer = admin.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (status, problems.MEDIA_TYPE)
    assert answer.json().keys() >= {"type", "title", "status", "code", "detail", "request_id"}
    assert (answer.json()["status"], answer.json()["code"]) == (status, code)


def test_a_wrong_method_is_a_problem_too(browser: Browser) -> None:
    answer = browser.get("/v1/reports")

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


def test_every_answer_has_a_request_id_of_ours(browser: Browser) -> None:
    first = browser.get("/health", X_Request_Id="mine").headers["x-request-id"]

    assert first.startswith("req_")
    assert first != browser.get("/health").headers["x-request-id"]


def test_health_asks_the_database(browser: Browser) -> None:
    assert browser.get("/health").json() == {"status": "ok", "version": "0.1.0"}


def test_an_unexpected_error_is_reported_without_its_text() -> None:
    answer = Browser(_failing(RuntimeError("the password is hunter2")), is_calm=True).get("/fail")

    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "hunter2" not in answer.text


def test_a_busy_database_asks_to_come_back() -> None:
    answer = Browser(_failing(OperationalError("SELECT", {}, Exception("locked")))).get("/fail")

    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert int(answer.headers["retry-after"]) > 0


def test_the_description_of_the_api_names_every_path(browser: Browser) -> None:
    assert set(browser.get("/v1/openapi.json").json()["paths"]) == {
        "/v1/api-keys",
        "/v1/api-keys/{key_id}",
        "/v1/api-keys/{key_id}/revoke",
        "/v1/api-keys/{key_id}/rotate",
        "/v1/audit",
        "/v1/audit/export",
        "/v1/audit/verify",
        "/v1/alerts",
        "/v1/alerts/{alert_id}",
        "/v1/alerts/{alert_id}/acknowledge",
        "/v1/deliveries/{delivery_id}/replay",
        "/v1/webhooks",
        "/v1/webhooks/{webhook_id}",
        "/v1/webhooks/{webhook_id}/deliveries",
        "/v1/webhooks/{webhook_id}/disable",
        "/v1/webhooks/{webhook_id}/enable",
        "/v1/webhooks/{webhook_id}/rotate-secret",
        "/v1/webhooks/{webhook_id}/test",
        "/v1/people",
        "/v1/people/{person_id}",
        "/v1/people/{person_id}/disable",
        "/v1/people/{person_id}/enable",
        "/v1/people/{person_id}/end-sessions",
        "/v1/people/{person_id}/reset",
        "/v1/people/{person_id}/role",
        "/v1/proposals",
        "/v1/proposals/{proposal_id}/approve",
        "/v1/proposals/{proposal_id}/reject",
        "/v1/reports",
        "/v1/installations",
        "/v1/installations/{installation_id}",
        "/v1/leases",
        "/v1/leases/give-back",
        "/v1/license-log",
        "/v1/licenses",
        "/v1/licenses/{license_id}",
        "/v1/licenses/{license_id}/file",
        "/v1/licenses/{license_id}/reinstate",
        "/v1/licenses/{license_id}/renew",
        "/v1/licenses/{license_id}/revoke",
        "/v1/licenses/{license_id}/suspend",
        "/v1/log/head",
        "/v1/log/inclusion",
        "/v1/log/consistency",
        "/v1/contracts",
        "/v1/contracts/{contract_id}",
        "/v1/contracts/{contract_id}/amendments",
        "/v1/contracts/{contract_id}/versions",
        "/v1/tariffs",
        "/v1/tariffs/{tariff_id}",
        "/v1/months/{month}",
        "/v1/months/{month}/close",
        "/v1/months/{month}/preview",
        "/v1/statements",
        "/v1/statements/{statement_id}",
        "/v1/statements/{statement_id}/accept",
        "/v1/statements/{statement_id}/dispute",
        "/v1/statements/{statement_id}/redraw",
        "/v1/statements/{statement_id}/send",
        "/v1/invoices",
        "/v1/invoices/{number}",
        "/v1/invoices/{number}/audit-pack",
        "/v1/invoices/{number}/cii",
        "/v1/invoices/{number}/credit",
        "/v1/invoices/{number}/document",
        "/v1/invoices/{number}/pdf",
        "/v1/invoices/{number}/ubl",
        "/v1/payments",
        "/v1/payments/{payment_id}/apply",
        "/v1/payments/{payment_id}/refund",
        "/v1/payments/{payment_id}/reverse",
        "/v1/journal",
        "/v1/journal/balance",
        "/v1/legal-entities",
        "/v1/customers/{customer_id}/billing",
        "/v1/customers/{customer_id}/account",
        "/v1/customers/{customer_id}/account/pdf",
        "/v1/customers/{customer_id}/focus",
        "/v1/exports/csv",
        "/v1/exports/datev",
        "/v1/exports/focus",
        "/health",
    }


def _failing(error: Exception) -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.get("/fail")
    def fail() -> None:
        raise error

    app.add_middleware(problems.RequestIds)
    return app
