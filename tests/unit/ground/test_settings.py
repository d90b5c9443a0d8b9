import dataclasses
import re
from itertools import combinations
from pathlib import Path

import pytest

from jobs import settings
from jobs.errors import Invalid
from jobs.secret import Secret
from jobs.setting_values import Variable
from jobs.settings import VARIABLES, Settings

CANARY = "c4n4ry"
PAGE = settings.ROOT / "docs" / "operation" / "settings.md"
URLS = [each for each in VARIABLES if "://" in each.expected or "URL" in each.expected]
HOSTILE = {
    "EVERGREEN_HOME": ["~nobody-at-all/x", "/dev/null/x", "/etc/passwd", "a\udcff"],
    "EVERGREEN_ALERT_SEVERITY": ["loud", "WARNING", " error"],
    "EVERGREEN_ENGINE_IDLE_SECONDS": ["", "0", "-1", "nan", "inf", "1e400", "ten", "1,5", "0x10"],
    "EVERGREEN_KEEP_LOGS_DAYS": ["0", "-1", "nan", "1e9", "a year"],
    "EVERGREEN_TRACKING_SECONDS": ["0", "nan", "1e9", "20s"],
    "EVERGREEN_PRICE_CPU_HOUR": ["-1", "nan", "$2", "two"],
    "EVERGREEN_PRICE_GPU_HOUR": ["-0.5", "inf", "2 EUR"],
    "EVERGREEN_DBT_PROJECT": ["/nowhere", "/etc/passwd", "/tmp", "~nobody-at-all/x"],
    "EVERGREEN_STREAM": [
        "kafka://", "kafka://a:1,", "kafka://,a:1", "kafka://a:1/topic", "kafka://a:1,b:0", "files://", "files:///",
        "files://a/b", "decisions://a",
    ],
    "EVERGREEN_API_KEYS": ["/nowhere/keys.json", "/etc", "/etc/passwd/keys.json"],
    "EVERGREEN_TRACES_SHARE": ["-0.1", "1.01", "nan", "one in ten"],
    "EVERGREEN_FEATURE_REPO": ["/nowhere", "/etc/passwd", "/proc"],
}  # fmt: skip
BAD_URLS = [
    "nonsense", "://", "ftp://user:c4n4ry@host/x", "//host/c4n4ry", "c4n4ry", "x://user:c4n4ry@host",
    "{scheme}://user:c4n4ry@host:port/x", "{scheme}://user:c4n4ry@host:99999/x", "{scheme}://user:c4n4ry@host:0/x",
    "{scheme}://user:a/c4n4ry@host/x", "{scheme}://user:a@c4n4ry@host/x", "{scheme}://user:a%zc4n4ry@host/x",
    "{scheme}://user:a#c4n4ry@host/x", "{scheme}://user:[c4n4ry@host/x", "{scheme}://host/x\nc4n4ry",
    "{scheme}://ho st/c4n4ry", "{scheme}://host/\x1b[31mc4n4ry",
]  # fmt: skip


def test_every_setting_can_be_set_by_one_variable() -> None:
    assert sorted(each.field for each in VARIABLES) == sorted(field.name for field in dataclasses.fields(Settings))
    assert len({each.name for each in VARIABLES}) == len(VARIABLES)


def test_without_variables_everything_has_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings.load({}) == Settings(tmp_path / ".evergreen")
    assert settings.load({each.name: "" for each in VARIABLES}) == Settings(tmp_path / ".evergreen")


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in HOSTILE.items() for text in texts if text])
def test_a_setting_that_cannot_be_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(Invalid, match=rf"^{name}: expected .*, found .*; correct it, or unset it for the default"):
        settings.load({name: text})


@pytest.mark.parametrize("variable", URLS, ids=lambda variable: variable.name)
@pytest.mark.parametrize("text", BAD_URLS)
def test_a_url_that_cannot_be_is_refused_without_its_secret(variable: Variable, text: str) -> None:
    scheme = re.findall(r"(\w+)://", variable.expected)[:1] or ["sqlite"]
    url = text.format(
        scheme={
            "EVERGREEN_TRACKING": "https",
            "EVERGREEN_DOCS": "https",
            "EVERGREEN_REPORTS": "https",
            "EVERGREEN_TUNING": "postgresql",
        }.get(variable.name, *scheme)
    )
    if variable.name == "EVERGREEN_WAREHOUSE":
        url = url.replace("sqlite", "s3")
        if "://" not in url:
            return  # a path
    with pytest.raises(Invalid) as refused:
        settings.load({variable.name: url})
    assert str(refused.value).startswith(f"{variable.name}: expected ") and CANARY not in repr(refused.value)
    assert refused.value.__cause__ is None and str(refused.value).isprintable()


@pytest.mark.parametrize(("text", "found"), [
    ("hdfs://host/x", "none of s3://, gs://"), ("sqlite:///x", "none of"), ("http://host/x", "none of"),
    ("s3:///x", "no bucket"), ("file://host/x", "a host"), ("abfss://c:c4n4ry@a.dfs.core.windows.net/x", "credentials"),
])  # fmt: skip
def test_a_warehouse_is_in_a_store_that_the_tables_can_lie_in(text: str, found: str) -> None:
    with pytest.raises(Invalid, match=f"EVERGREEN_WAREHOUSE: expected .*found .*{found}"):
        settings.load({"EVERGREEN_WAREHOUSE": text})


@pytest.mark.parametrize("text", ["s3://bucket/x", "gs://bucket", "abfss://c@a.dfs.core.windows.net/x", "file:///x"])
def test_a_warehouse_may_lie_in_an_object_store(text: str) -> None:
    assert settings.load({"EVERGREEN_WAREHOUSE": text}).warehouse == text


def test_settings_show_no_secret() -> None:
    given = {each.name: "https://u:c4n4ry@host/c4n4ry" for each in URLS}
    given |= {
        "SPARK_REMOTE": "sc://host/;token=c4n4ry", "EVERGREEN_ONLINE_STORE": "redis://:c4n4ry@host",
        "EVERGREEN_LEDGER": "postgresql://u:c4n4ry@host/x", "EVERGREEN_PREDICTIONS": "postgres://u:c4n4ry@host/x",
        "EVERGREEN_DAGSTER": "postgresql://u:c4n4ry@host/y",
        "EVERGREEN_TUNING": "postgresql://u:c4n4ry@host/x", "EVERGREEN_ALERT_WEBHOOK_SECRET": "c4n4ry",
        "EVERGREEN_ALERT_EMAIL": "smtp://u:c4n4ry@host/?from=a@b.org&to=c@d.org",
        "EVERGREEN_TRACKING": "https://u:c4n4ry@host/x", "EVERGREEN_WAREHOUSE": "s3://bucket/x",
        "EVERGREEN_ALERT_WEBHOOK": "https://host/c4n4ry", "EVERGREEN_DOCS": "https://u:c4n4ry@host/x",
        "EVERGREEN_REPORTS": "https://u:c4n4ry@host/x", "EVERGREEN_OIDC_ISSUER": "https://host/x",
        "EVERGREEN_OIDC_AUDIENCE": "x", "EVERGREEN_STREAM": "kafka://u:c4n4ry@a:1,b:2",
        "EVERGREEN_TRACES": "https://u:c4n4ry@host/x", "EVERGREEN_SERVER": "https://:c4n4ry@host",
    }  # fmt: skip
    found = settings.load(given)
    assert CANARY not in f"{found} {found!r} {vars(found)} {found.predictions} {found.tracking_url}"
    assert CANARY not in str(dataclasses.asdict(found))
    secrets = [value for value in vars(found).values() if isinstance(value, Secret)]
    assert len(secrets) == 15 and all(CANARY in value.reveal() for value in secrets)


def test_the_page_of_settings_describes_each() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.M)
    assert sorted(rows) == sorted(each.name for each in VARIABLES)


def test_libraries_that_number_their_tables_alike_share_no_database() -> None:
    url = "postgresql://me:c4n4ry@host/x"
    for one, other in combinations(("EVERGREEN_DAGSTER", "EVERGREEN_TRACKING", "EVERGREEN_TUNING"), 2):
        with pytest.raises(Invalid, match=rf"^{other}: expected a database of its own, found that of {one}") as refused:
            settings.load({one: url, other: url.replace("postgresql", "postgres")})
        assert CANARY not in str(refused.value)
        settings.load({one: url, other: f"{url}2", "EVERGREEN_LEDGER": url})


def test_drivers_get_the_scheme_that_they_know() -> None:
    own = settings.load({"EVERGREEN_DAGSTER": "postgres://me@host/x", "EVERGREEN_TRACKING": "postgres://me@host/y"})
    assert own.dagster_database == "postgresql://me@host/x"
    assert own.tracking_url.reveal() == "postgresql://me@host/y"
