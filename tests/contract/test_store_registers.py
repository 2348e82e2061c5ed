"""What a store keeps beside jobs: drained sites, tokens, and who asked for what."""

from dataclasses import replace
from typing import Final

import pytest

from tieline.control.governance import Drain, Token
from tieline.control.ports import Store
from tieline.model.errors import ConflictError, InputError, NotFoundError
from tieline.model.job import JobSpec
from tieline.model.workload import Workload

SPEC: Final = JobSpec("lab-a", Workload("training"), 8, {"cuda": "python train.py"})
TOKEN: Final = Token("t1", "Ann", "member", "lab-a", "0123456789abcdef" * 4, 1.0, 100.0)


def told(store: Store) -> list[tuple[str, object]]:
    """Give what the log says that is not about a job."""
    return [(line.event, line.data) for line in store.events() if not line.job_id]


def test_a_drained_site_is_closed_until_it_is_resumed(store: Store) -> None:
    """A drain is kept with who ordered it, when and why, is news to the loop, and can end."""
    assert store.drained() == {}
    drain = store.drain("gui-an", now=5.0, by="ann", reason="new cables")
    assert drain == Drain("gui-an", 5.0, "ann", "new cables")
    assert store.drained() == store.news(0).drained == {"gui-an": drain}
    store.resume("gui-an", now=6.0, by="bob")
    news = store.news(0)
    assert store.drained() == news.drained == {}
    assert news.resumed == {"gui-an"}
    assert store.news(news.position).resumed == frozenset()
    assert told(store) == [
        ("site-drained", {"site": "gui-an", "by": "ann", "reason": "new cables"}),
        ("site-resumed", {"site": "gui-an", "by": "bob"}),
    ]


def test_a_site_is_drained_once(store: Store) -> None:
    """A second drain leaves the first as it was; each resumption is in the log."""
    first = store.drain("gui-an", now=5.0, by="ann", reason="new cables")
    assert store.drain("gui-an", now=6.0, by="bob", reason="other") == first
    store.drain("zhangjiakou", now=7.0)
    assert list(store.drained()) == ["gui-an", "zhangjiakou"]
    for _ in range(2):
        store.resume("gui-an", now=8.0)
    assert list(store.drained()) == ["zhangjiakou"]
    assert [event for event, _ in told(store)] == ["site-drained"] * 2 + ["site-resumed"] * 2


def test_a_token_is_kept_without_its_secret(store: Store) -> None:
    """A token comes back as it was given; the log tells of it, but not its digest."""
    store.add_token(TOKEN, by="root")
    assert store.token("t1") == TOKEN
    assert store.token("t2") is None
    assert told(store) == [
        (
            "token-created",
            {
                "token": "t1",
                "name": "Ann",
                "role": "member",
                "tenant": "lab-a",
                "expires_at": 100.0,
                "by": "root",
            },
        )
    ]


def test_a_token_id_is_good_for_one_token(store: Store) -> None:
    """A second token of the same id is refused, and the first stays."""
    store.add_token(TOKEN)
    with pytest.raises(ConflictError, match="'t1'"):
        store.add_token(replace(TOKEN, role="operator", tenant=None))
    assert store.tokens() == [TOKEN]


def test_tokens_are_given_newest_first(store: Store) -> None:
    """All tokens are listed, the newest first, also those that are good no more."""
    tokens = [replace(TOKEN, id=f"t{i}", created_at=float(i)) for i in (2, 1, 3)]
    for token in tokens:
        store.add_token(token)
    store.revoke_token("t3", now=9.0)
    assert [token.id for token in store.tokens()] == ["t3", "t2", "t1"]


def test_a_token_is_revoked_once(store: Store) -> None:
    """A revoked token stays revoked as of the first time; an unknown one is not found."""
    store.add_token(TOKEN)
    revoked = replace(TOKEN, revoked_at=5.0)
    assert store.revoke_token("t1", now=5.0, by="root") == revoked
    assert store.revoke_token("t1", now=6.0) == revoked == store.token("t1")
    assert told(store)[1:] == [("token-revoked", {"token": "t1", "by": "root"})]
    with pytest.raises(NotFoundError, match="'t2'"):
        store.revoke_token("t2", now=7.0)


def test_the_log_says_who_asked(store: Store) -> None:
    """Submissions and requests for an end are logged with whoever made them, where known."""
    (job,) = store.add_jobs([SPEC], now=1.0, key="k", by="ann")
    (other,) = store.add_jobs([SPEC], now=1.0)
    store.request_cancel(job.id, now=2.0, by="bob")
    store.request_cancel(other.id, now=2.0)
    said = [(line.data.get("key"), line.data.get("by")) for line in store.events()]
    assert said == [("k", "ann"), (None, None), (None, "bob"), (None, None)]


@pytest.mark.parametrize("character", ["\0", "\ud800"])
def test_what_no_database_takes_is_refused_or_replaced(store: Store, character: str) -> None:
    """A character that cannot be stored is refused in a name, and replaced in what people say."""
    with pytest.raises(InputError, match="cannot be stored"):
        store.add_jobs([replace(SPEC, tenant=f"a{character}")], now=1.0)
    with pytest.raises(InputError, match="cannot be stored"):
        store.add_jobs([SPEC], now=1.0, key=f"a{character}")
    reason = store.drain("gui-an", now=1.0, reason=f"a{character}b").reason
    assert (reason[0], reason[-1], len(reason)) == ("a", "b", 3)
    assert store.drained()["gui-an"].reason == reason
    (job,) = store.add_jobs([replace(SPEC, name=f"a{character}")], now=1.0)
    assert store.job(job.id).spec.name == f"a{character}"
