"""
The defences of the server, each as the text that makes it and what would stand there without it.

The rows are those of `docs/explanation/security.md`. A text must be there exactly once: whoever rewrites a defence
comes by here.
"""

from __future__ import annotations

from dataclasses import dataclass

Edit = tuple[str, str, str]  # A file of the server, the text that defends, and the text without it.
SESSION_OF_ITS_OWN = """        sessions.end_session(session, request.cookies.get(COOKIE, ""))
        token = sessions.open_session(
            session, person, level, origin=origin_of(request), occasion=_occasion(office, person)
        )
"""
SESSION_KEPT = """        token = request.cookies.get(COOKIE, "")
        found = sessions.find_session(session, token, at=office.clock())
        if found is not None:
            found.level = level.value
        else:
            token = sessions.open_session(
                session, person, level, origin=origin_of(request), occasion=_occasion(office, person)
            )
"""
SIGN_OUT = """        sessions.end_session(session, request.cookies.get(COOKIE, ""))
    response = redirect(SIGN_IN)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defence:
    """A defence, how it is taken out, and the test that has to fail then."""

    row: int
    what: str
    edits: tuple[Edit, ...]
    test: str  # "sign_in.a_code_is_taken_once": the module of tests/server, and the test.


def _one(row: int, what: str, file: str, text: str, without: str, test: str) -> Defence:
    return Defence(row=row, what=what, edits=((file, text, without),), test=test)


PAGES, THROTTLE, PEOPLE = "console/sign_in_pages.py", "people/throttle.py", "people/service.py"
GATE, ADDRESSES = "console/gate.py", "webhooks/addresses.py"

DEFENCES = (
    _one(1, "the wait after wrong passwords", THROTTLE, "if row.failures and at < free_at:", "if False:",
         "sign_in.who_guesses_waits_and_even_the_right_password_is_not_taken_meanwhile"),
    _one(1, "counting by address", PAGES, "        throttle.count_attempt(session, address, at=now)\n", "",
         "sign_in.many_accounts_from_one_address_are_throttled_by_the_address"),
    _one(1, "the end after a hundred failures", THROTTLE, "        return _FOREVER\n", "        return WAIT_MAX\n",
         "sign_in.after_a_hundred_failures_an_owner_has_to_reset"),
    _one(2, "the same slowness for nobody", "people/passwords.py",
         "is_right = _hasher.verify(_normal(password), password_hash or _nobody[0])",
         "is_right = password_hash is not None and _hasher.verify(_normal(password), password_hash)",
         "sign_in.it_takes_the_same_time_for_an_account_that_does_not_exist"),
    _one(3, "refusing what is easy to guess", "people/passwords.py",
         'if found["guesses_log10"] < GUESSES_LOG10_MIN:', "if False:", "sign_in.what_is_easy_to_guess_is_refused"),
    _one(4, "the second factor", PAGES,
         "level = Level.PASSWORD if has_factor or service.needs_second_factor(person) else Level.FULL",
         "level = Level.FULL", "sign_in.password_and_code_open_the_console"),
    _one(4, "taking a code once", "people/second_factor.py", "and (after is None or step > after)", "",
         "sign_in.a_code_is_taken_once"),
    _one(4, "the gate for half a session", GATE, "if not visitor.is_complete:", "if False:",
         "sign_in.half_a_session_does_not_replace_the_second_factor"),
    _one(5, "counting wrong codes", PAGES,
         "            throttle.count_attempt(session, counted, at=occasion.at)\n", "            pass\n",
         "sign_in.codes_are_throttled_as_well"),
    _one(6, "a fresh session at each step", PAGES, SESSION_OF_ITS_OWN, SESSION_KEPT,
         "sign_in.a_session_that_was_planted_is_worth_nothing_after_signing_in"),
    _one(7, "a cookie that no script reads", GATE,
         'set_cookie(COOKIE, token, max_age=lifetime, path="/", secure=True, httponly=True,',
         'set_cookie(COOKIE, token, max_age=lifetime, path="/", secure=True, httponly=False,',
         "sign_in.the_cookie_is_of_this_host_alone_and_out_of_reach_of_scripts_and_other_sites"),
    _one(7, "the end of an idle session", "people/sessions.py",
         "at >= found.expires_at or at >= found.seen_at + IDLE_MAX", "at >= found.expires_at",
         "sign_in.a_session_ends_when_nobody_uses_it"),
    _one(7, "signing out on the server", PAGES, SIGN_OUT,
         "        pass\n    response = redirect(SIGN_IN)\n", "sign_in.signing_out_ends_it_on_the_server"),
    _one(8, "ending sessions when somebody changes", "people/sessions.py", "        session.delete(found)\n",
         "        pass\n", "sign_in.what_changes_a_person_ends_their_sessions"),
    _one(9, "the token of a form", GATE, "if not sessions.is_form_token(office", "if False and not (office",
         "sign_in.a_form_without_the_token_of_a_page_of_ours_is_refused"),
    _one(9, "the token of the sign-in form", GATE, "if not sessions.is_form_token(office", "if False and not (office",
         "sign_in.nobody_is_signed_in_by_a_form_that_another_site_sends"),
    _one(9, "the token of every form", GATE, "if not sessions.is_form_token(office", "if False and not (office",
         "forms.no_form_of_any_page_is_taken_without_its_token"),
    Defence(row=9, what="the origin that the browser says",
            edits=((GATE, "if origin is not None and urlsplit(origin).netloc", "if False and urlsplit(str(origin))"),
                   (GATE, 'if request.headers.get("sec-fetch-site", "same-origin") not in', "if None in")),
            test="sign_in.a_form_of_another_site_is_refused"),
    _one(9, "the header that other sites cannot send", "web.py", "if not sessions.is_form_token(office",
         "if False and not (office", "sign_in.a_session_alone_changes_nothing_by_the_api"),
    _one(10, "the nonce", "people/sso.py", '                nonce={"essential": True, "value": nonce},\n', "",
         "sso.a_lie_opens_nothing"),
    _one(10, "the audience", "people/sso.py",
         '                aud={"essential": True, "value": self.settings.client_id},\n', "", "sso.a_lie_opens_nothing"),
    _one(10, "taking an answer once", "people/sso.py", "        session.delete(asked)\n", "        pass\n",
         "sso.an_answer_is_taken_once"),
    _one(10, "the browser that began", "people/sso.py", "if not browser or asked.browser != _digest(browser):",
         "if False:",
         "sso.an_answer_that_was_begun_in_another_browser_is_not_taken_nor_is_it_afterwards"),
    _one(11, "an account that belongs to one id of the issuer", PEOPLE,
         "if person is None or person.sso_subject is not None or person.disabled_at is not None:",
         "if person is None or person.disabled_at is not None:",
         "sso.the_issuers_own_id_counts_once_it_is_known_and_not_the_address"),
    _one(11, "addresses that the issuer has verified", "people/sso.py", 'claims.get("email_verified") is True and ',
         "", "sso.an_address_that_the_issuer_has_not_verified_opens_no_account"),
    _one(12, "the permission of an endpoint", "web.py", "        caller.require(self.action)\n", "",
         "permissions.every_endpoint_answers_each_person_and_each_program_as_the_table_says"),
    _one(12, "the permission of a page", GATE, "            visitor.caller.require(self.action)\n",
         "            pass\n",          "console.every_page_is_for_whom_the_table_of_permissions_says"),
    _one(13, "what belongs to another customer", "access/caller.py",
         "return self.customer_id is None or self.customer_id == customer_id", "return True",
         "permissions.every_foreign_id_is_not_found_and_the_owner_finds_it"),
    _one(13, "lists of one's own", "access/api_keys.py",
         "actions=scopes_of(key) - PEOPLE_ONLY, customer_id=key.customer_id",
         "actions=scopes_of(key) - PEOPLE_ONLY, customer_id=None",
         "permissions.every_list_shows_a_customer_its_own_and_nothing_else"),
    _one(13, "pages of another customer", "people/sessions.py",
         "actions=permitted(Role(person.role)), customer_id=person.customer_id",
         "actions=permitted(Role(person.role)), customer_id=None",
         "console.nothing_of_another_customer_exists"),
    _one(13, "events of one's own", "webhooks/outbox.py",
         "    query = query.where(or_(Webhook.customer_id.is_(None), Webhook.customer_id == customer_id))\n", "",
         "webhooks.a_customer_gets_its_own_events_and_no_other"),
    _one(14, "handing on no more than one has", "access/endpoints.py", "    if beyond:\n", "    if False:\n",
         "security.a_key_makes_no_key_that_may_more_however_often_it_is_handed_on"),
    _one(14, "rotating no key that may more", "access/endpoints.py",
         "if not api_keys.scopes_of(key) <= change.caller.actions:", "if False:",
         "security.a_key_rotates_no_key_that_may_more"),
    _one(15, "two people", "proposals/service.py", "if proposal.proposer == occasion.person:", "if False:",
         "people.nobody_approves_what_a_program_of_theirs_proposed"),
    _one(15, "people alone approve", "access/api_keys.py", "scopes_of(key) - PEOPLE_ONLY", "scopes_of(key)",
         "security.no_scope_that_takes_a_person_works_with_a_key_even_if_the_database_says_so"),
    _one(16, "keys that are not stored", "access/api_keys.py",
         'return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()', "return text",
         "api_keys.the_database_holds_no_key"),
    Defence(row=16, what="answers that are kept sealed",
            edits=(("idempotency.py", "asked.seal().encrypt(answer.body.encode()).decode()", "answer.body"),
                   ("idempotency.py", "asked.seal().decrypt(kept.sealed).decode()", "kept.sealed")),
            test="idempotency.a_secret_in_an_answer_is_not_to_be_read_in_the_database"),
    _one(17, "escaping", "console/rendering.py", "autoescape=select_autoescape()", "autoescape=False",
         "security.what_people_wrote_is_text_on_every_page"),
    _one(17, "the policy against scripts", "console/rendering.py", "script-src 'self'",
         "script-src 'unsafe-inline'", "sign_in.pages_are_not_kept_and_run_nothing"),
    _one(18, "parameters of a query", "audit.py", "query.where(AuditRow.subject == subject)",
         'query.where(text(f"subject = \'{subject}\'"))',
         "security.no_text_in_a_path_or_a_query_breaks_an_endpoint"),
    _one(19, "names of one printable line", "identity.py", " or not text.isprintable()", "",
         "api_keys.a_name_is_one_line"),
    _one(20, "formulas in the exported audit log", "audit_export.py",
         """f"'{text}" if text.startswith(_FORMULA) else text""", "text", "security.no_cell_of_an_export_is_a_formula"),
    _one(20, "formulas in tables", "exports/tables.py", """f"'{text}" if""", "text if",
         "exports.a_name_that_is_a_formula_is_none_in_a_spreadsheet"),
    _one(21, "the address after it was resolved", ADDRESSES,
         "if not addresses or not all(self._may_connect(address) for address in addresses):", "if not addresses:",
         "webhooks.a_name_that_leads_to_a_private_address_is_not_connected_to"),
    _one(21, "the very address that was checked", ADDRESSES, "            addresses[0], port,",
         "            host, port,", "webhooks.the_connection_goes_to_the_very_address_that_was_checked"),
    _one(21, "addresses within addresses", ADDRESSES, "        if inner is not None:\n", "        if False:\n",
         "webhooks.no_disguise_of_a_private_address_in_an_ipv6_address_is_public"),
    _one(21, "what can be seen from the URL", ADDRESSES, "if not is_development and not is_public(literal):",
         "if False:", "webhooks.what_can_be_seen_from_the_url_is_refused_when_it_is_added"),
    _one(22, "the signature", "webhooks/sender.py", "Signer(secret).sign(letter.event_id, at, letter.body)",
         '"v1,bm90aGluZw=="', "webhooks.a_receiver_can_verify_what_it_gets"),
    _one(22, "the name in the certificate", ADDRESSES, "self._stream.start_tls(ssl_context, server_hostname,",
         'self._stream.start_tls(ssl_context, "hooks.test",',
         "webhooks.the_certificate_is_checked_against_the_name_and_not_the_address"),
    _one(23, "refusing before reading", "limits.py", "_says_too_large(scope) else", "False else",
         "limits.a_body_that_says_that_it_is_too_large_is_not_read"),
    _one(23, "limits of requests", "limits.py", "            if not is_within:\n", "            if False:\n",
         "limits.who_asks_too_often_is_refused_and_told_when_to_come_back"),
    _one(23, "the deadline of the whole", ADDRESSES, "    left = deadline - time.monotonic()\n", "    left = 30.0\n",
         "webhooks.a_receiver_that_drips_does_not_hold_a_worker"),
    _one(24, "finding what was answered before", "web.py", "            if before is not None:\n",
         "            if False:\n", "idempotency.eight_at_once_with_one_key_have_one_effect_and_one_answer"),
    _one(25, "what the chain is computed over", "audit.py", '        "detail": row.detail,\n', "",
         "audit.tampering_is_noticed"),
    _one(26, "only paths of this site", GATE,
         'return target if is_own and "\\\\" not in target and len(target) <= 500 else "/"', "return target",
         "sign_in.after_signing_in_nobody_is_sent_to_another_site"),
)  # fmt: skip
