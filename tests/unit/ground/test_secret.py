import copy
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.secret import ClusterUrl, Secret, Url, WebhookUrl, fault_of, hide

CANARY = "c4n4ry"
SHOWN = {
    "postgresql://eve:c4n4ry@db:5433/ledger": "postgresql://eve:***@db:5433/ledger",
    "postgresql://eve@db/ledger": "postgresql://eve@db/ledger",
    "postgresql://db/ledger?user=eve&password=c4n4ry": "postgresql://db/ledger?***",
    "postgresql+psycopg://eve:c4n4ry@[::1]:5433/x": "postgresql+psycopg://eve:***@[::1]:5433/x",
    "redis://:c4n4ry@host": "redis://***@host",
    "redis://c4n4ry@host:6379/0": "redis://***@host:6379/0",
    "https://c4n4ry@host/api": "https://***@host/api",
    "sc://host:15002/;token=c4n4ry;user_id=eve": "sc://host:15002/;***",
    "sqlite:////tmp/a b/x@y.db": "sqlite:////tmp/a b/x@y.db",
    "smtp://bot:c4n4ry@host:587/?from=a@b.org&to=c@d.org": "smtp://***@host:587/?***",
    "postgresql://eve:a/c4n4ry@host/db": "postgresql://***",
    "postgresql://eve:a@c4n4ry@host/db": "postgresql://***",
    "postgresql://eve:1/c4n4ry@host/db": "postgresql://***",
    "postgresql://eve:1?c4n4ry@host/db": "postgresql://***",
    "postgresql://eve:1#c4n4ry@host/db": "postgresql://***",
    "postgresql://eve:[c4n4ry@host/db": "postgresql://***",
    "postgresql://eve:%zc4n4ry@host/db": "postgresql://***",
    "postgresql://eve:a\nc4n4ry@host/db": "postgresql://***",
    "host=db password=c4n4ry": "***",
}


@pytest.mark.parametrize(("text", "shown"), SHOWN.items())
def test_what_is_made_of_a_url_hides_what_is_secret(text: str, shown: str) -> None:
    url = Url(text)
    made = [str(url), f"{url}", f"{url:>80}", "%s" % url, "{}".format(url), json.dumps(url, default=str)]  # noqa: UP031, UP032
    assert str(url) == shown and CANARY not in repr([url, {"url": url}, copy.deepcopy(url), *made])
    assert url.reveal() == text and CANARY not in hide(f"cannot reach {text!r}: {text.upper()}".lower())


CLUSTERS = {
    "kafka://127.0.0.1:9092": ("kafka://127.0.0.1:9092", (("127.0.0.1", 9092),)),
    "kafka://a,b:9093": ("kafka://a,b:9093", (("a", None), ("b", 9093))),
    "kafkas://eve:c4n4ry@a:1,[::1]:2?sasl.mechanism=PLAIN": ("kafkas://***@a:1,[::1]:2?***", (("a", 1), ("::1", 2))),
    "kafka://eve:c4n4ry,x@a:1,b:2": ("kafka://***@a:1,b:2", (("a", 1), ("b", 2))),
    "kafka://a:1?ssl.key.password=c4n4ry": ("kafka://a:1?***", (("a", 1),)),
}


@pytest.mark.parametrize("text", CLUSTERS)
def test_a_url_of_several_hosts_shows_them_and_no_secret(text: str) -> None:
    url, (shown, hosts) = ClusterUrl(text), CLUSTERS[text]
    assert (str(url), url.hosts, url.reveal()) == (shown, hosts, text)
    assert CANARY not in hide(f"cannot reach {text}")


@pytest.mark.parametrize(
    "text", ["kafka://eve:a/c4n4ry@a:1,b:2", "kafka://eve:c4n4ry@a:1,b:x", "kafka://e:1,c4n4ry/x@h"]
)
def test_a_url_of_several_hosts_that_can_be_misread_shows_nothing(text: str) -> None:
    url = ClusterUrl(text)
    assert str(url) == "kafka://***" and CANARY not in hide(f"found {text}")
    with pytest.raises(ValueError, match="found "):
        _ = url.parts


def test_of_a_webhook_the_path_is_secret() -> None:
    url = WebhookUrl("https://chat.example.org/services/T0C4N4RY/B1")
    assert str(url) == "https://chat.example.org/***" and "C4N4RY" not in hide("HTTPError: /services/T0C4N4RY/B1")


def test_a_secret_is_shown_by_reveal_only() -> None:
    secret = Secret("hush hush")
    assert (str(secret), repr(secret), f"{secret}") == ("***", "Secret('***')", "***")
    assert secret.reveal() == "hush hush" and hide("a hush hush b, HUSH HUSH") == "a *** b, ***"
    assert secret == Secret("hush hush") and secret != Secret("other") and secret != Url("hush hush")


@given(
    st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), min_size=4, max_size=20),
    st.sampled_from(["postgresql", "redis", "https", "smtp", "sc"]),
    st.booleans(),
)
def test_no_password_of_any_characters_is_shown(password: str, scheme: str, encoded: bool) -> None:
    password = f"{password}Zq9"
    url = Url(f"{scheme}://user:{quote(password, safe='') if encoded else password}@host.example/path")
    assert "Zq9" not in f"{url} {url!r}" and (not encoded or fault_of(url.reveal()) is None)
    assert "Zq9" not in hide(f"found {url.reveal()}") and password not in hide(f"denied for {password!r}, {password}")
    if fault_of(url.reveal()) is None:
        assert url.parts.hostname == "host.example"


def test_other_text_is_searched_for_what_looks_like_a_secret() -> None:
    assert hide("cannot reach redis://eve:S3/cr@t@host:6379") == "cannot reach redis://eve:***@host:6379"
    assert hide("cannot reach https://S3cret@host or postgresql://eve@db") == (
        "cannot reach https://***@host or postgresql://eve@db"
    )
    assert hide("see http://127.0.0.1:5000/x?token=abcdefg&y=1") == "see http://127.0.0.1:5000/x?token=***&y=1"
    assert hide("mail a@b.org about the 3 rows") == "mail a@b.org about the 3 rows"
