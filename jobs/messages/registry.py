"""A schema registry as its REST API shows it: the schema of each number, fetched once.

What the schemas say: see `jobs.messages.avro_schemas`.
"""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

from jobs.errors import EvergreenError, Invalid
from jobs.secret import Url

SECONDS = 10
"""So long an answer may take."""
LONGEST_ANSWER = 10_000_000
UNKNOWN = 40403
"""What a registry says, in `error_code`, of a number that it has not given."""


class RegistryError(EvergreenError, RuntimeError):
    """The registry does not say what a schema is, which is no fault of the message: it may be read later."""


class Registered(NamedTuple):
    """A schema as it is registered."""

    kind: str
    """AVRO, JSON or PROTOBUF."""
    definition: str
    refers: bool
    """It names schemas of other subjects."""


SchemaByNumber = Callable[[int], Registered | None]
"""`Registry.schema`, or what stands for it."""


class Registry:
    """Schemas by number. They never change, so each is asked for once."""

    def __init__(self, url: str) -> None:
        """url: where the REST API begins. Raises Invalid if it is no address of HTTP."""
        self._url = Url(url)
        if not url.startswith(("http://", "https://")):
            raise Invalid(f"registry: expected an address such as http://host:8081, found {self._url}; correct it")
        self._known: dict[int, Registered] = {}

    def schema(self, number: int) -> Registered | None:
        """The schema of a number; None if it is not given to any. Raises RegistryError if the registry does not say."""
        if number not in self._known:
            answer = self._asked(f"schemas/ids/{number}")
            if answer is None:
                return None
            self._known[number] = answer
        return self._known[number]

    def _asked(self, path: str) -> Registered | None:
        try:
            with urllib.request.urlopen(self._request(path), timeout=SECONDS) as answer:
                return _registered(json.loads(answer.read(LONGEST_ANSWER)))
        except urllib.error.HTTPError as error:
            with error:
                if error.code == http.client.NOT_FOUND and _error_code(error) == UNKNOWN:
                    return None
            raise self._failed(path, f"the status {error.code}") from error
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(path, f"no answer ({error})") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._failed(path, "something else") from error

    def _request(self, path: str) -> urllib.request.Request:
        parts = self._url.parts
        place = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=f"{parts.path.rstrip('/')}/{path}")
        request = urllib.request.Request(place.geturl())
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            request.add_header("Authorization", f"Basic {base64.b64encode(user.encode()).decode()}")
        return request

    def _failed(self, path: str, found: str) -> RegistryError:
        return RegistryError(
            f"{self._url}: expected a schema registry's answer to {path}, found {found}; start the registry, or "
            "correct `registry` in EVERGREEN_STREAM: its messages wait meanwhile"
        )


def _registered(said: Any) -> Registered:
    if not isinstance(said["schema"], str):
        raise TypeError
    return Registered(said.get("schemaType", "AVRO"), said["schema"], bool(said.get("references")))


def _error_code(error: urllib.error.HTTPError) -> Any:
    try:
        return json.loads(error.read(LONGEST_ANSWER)).get("error_code")
    except (ValueError, AttributeError):
        return None
