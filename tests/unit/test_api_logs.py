"""Lines of the log: their form, their ids, and what is never in them."""

import json
import logging
import sys

import pytest
from fastapi import FastAPI, Response

from front import Caller
from tieline.service.api.trail import Trail
from tieline.service.logs import REQUEST, JsonLines, TextLines, without_secrets
from tieline.service.metrics import Metrics

TOKEN = "tl_0123456789ab_" + "s" * 43
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlc2lnbmF0dXJl"


def record(message: str, *args: object) -> logging.LogRecord:
    """Give a record of a log."""
    return logging.LogRecord("x", logging.WARNING, __file__, 1, message, args, None)


def test_a_line_as_json_has_a_field_per_pair() -> None:
    """Each pair of a line is a field with the value that was put in, of its own type."""
    line = json.loads(
        JsonLines().format(
            record("event=ended job=%s code=%d took=%.1f detail=%r why=it", "j 1", 3, 2.345, "a b")
        )
    )
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "event": "ended",
        "job": "j 1",
        "code": 3,
        "took": 2.3,
        "detail": "a b",
        "why": "it",
    }


def test_a_line_of_others_is_a_message() -> None:
    """A line that names no event, as libraries write them, is an event with its text."""
    line = json.loads(JsonLines().format(record("%s is %d%% full", "disk", 99)))
    assert (line["event"], line["text"]) == ("message", "disk is 99% full")


def test_a_line_belongs_to_its_request() -> None:
    """Within a request both forms carry its id, and outside neither does."""
    token = REQUEST.set("r1")
    assert json.loads(JsonLines().format(record("event=x")))["request"] == "r1"
    assert TextLines().format(record("event=x")).endswith("event=x request=r1")
    REQUEST.reset(token)
    assert "request" not in JsonLines().format(record("event=x"))


@pytest.mark.parametrize("form", [JsonLines(), TextLines()])
def test_no_form_lets_a_secret_through(form: logging.Formatter) -> None:
    """Tokens and passwords are taken out of messages, values and stack traces."""
    try:
        int(f"bad {TOKEN} {JWT}")
    except ValueError:
        trace = sys.exc_info()
    made = record("event=x a=%s b=%s", f"Bearer {TOKEN}", "postgresql://ann:hush@db/x")
    made.exc_info = trace
    text = form.format(made)
    for secret in ("s" * 43, "c2lnbmF0dXJl", "hush"):
        assert secret not in text
    assert "tl_0123456789ab_***" in text
    assert "ValueError" in text
    assert "postgresql://ann:***@db/x" in text


def test_what_is_no_secret_stays() -> None:
    """Ids of tokens, addresses and other text are left as they are."""
    text = "token 0123456789ab of ann at https://h:8421/v1/jobs?x=a@b"
    assert without_secrets(text) == text


def traced() -> Caller:
    """Give a caller of an application behind the trail."""
    app = FastAPI()
    app.add_api_route("/ok", lambda: Response("fine"))
    app.add_middleware(Trail, metrics=Metrics())
    return Caller(app)


@pytest.mark.parametrize("given", ["abc-1.2_3", "x" * 64])
def test_an_id_of_the_caller_comes_back(given: str) -> None:
    """A caller's own id for a request, of a plain form, stands in the answer."""
    answer = traced().get("/ok", headers={"X-Request-Id": given})
    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a=b", '"', "%0a", "é"])
def test_an_id_of_another_form_is_replaced(given: str) -> None:
    """What could forge a line of the log, or swell it, gets an id of the service."""
    answer = traced().get("/ok", headers={"X-Request-Id": given.encode()})  # type: ignore[dict-item] # httpx takes bytes
    assert len(answer.headers["x-request-id"]) == 32


def test_each_request_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """A request leaves one line with method, path as sent, status and time, without the query."""
    caplog.set_level(logging.INFO)
    traced().get("/ok%0Aevent=forged?token=hush")
    (line,) = [one.getMessage() for one in caplog.records if "event=request " in one.getMessage()]
    assert "method=GET path=/ok%0Aevent=forged status=404" in line
    assert "hush" not in line
    assert "\n" not in line
