"""What a decision server counts of its objectives, asked of `/metrics` and kept from look to look."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote

from jobs.loopback import is_loopback
from jobs.secret import Url
from jobs.settings import Settings
from jobs.state_files import read_memory, replace_json

ANSWER_SECONDS = 5.0
KEPT_SECONDS = 6 * 3600 + 300
"""The longest window of `jobs.alerts.error_budgets`, and a little more."""
_COUNT = re.compile(r'evergreen_slo_(events_total|bad_total|objective)\{slo="(\w+)"\} (\S+)')


@dataclass(frozen=True)
class Counts:
    """What the server had counted at a look, by objective."""

    at: float
    """Seconds since 1970."""
    events: dict[str, float]
    bad: dict[str, float]
    objective: dict[str, float]
    """Share of events that must be good."""


def asked(server: Url, at: float) -> Counts | None:
    """What a server says at a moment; None: it does not answer, or not as it should."""
    parts = server.parts
    place = f"{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
    request = urllib.request.Request(f"{parts.scheme}://{place}/metrics")
    if parts.password is not None:
        request.add_header("Authorization", f"Bearer {unquote(parts.password)}")
    proxies = [urllib.request.ProxyHandler({})] if is_loopback(parts.hostname or "") else []
    try:
        with urllib.request.build_opener(*proxies).open(request, timeout=ANSWER_SECONDS) as answer:
            return counts(answer.read().decode(), at)
    except (OSError, ValueError):
        return None


def counts(text: str, at: float) -> Counts | None:
    """The counts in a text of Prometheus; None if there are none."""
    found = Counts(at, {}, {}, {})
    for name, slo, value in _COUNT.findall(text):
        getattr(found, name.removesuffix("_total"))[slo] = float(value)
    return found if found.objective else None


def kept(settings: Settings) -> list[Counts]:
    """What earlier looks found, in order; nothing that is damaged."""
    return read_memory(_file(settings), lambda stored: [Counts(**each) for each in stored]) or []


def keep(settings: Settings, looks: Sequence[Counts]) -> list[Counts]:
    """Keep looks for the next one, as far back as a window reaches; returns them."""
    recent = [each for each in looks if each.at >= looks[-1].at - KEPT_SECONDS]
    replace_json(_file(settings), [asdict(each) for each in recent])
    return recent


def _file(settings: Settings) -> Path:
    return settings.state / "server_counts.json"
