"""A Grafana, through `grafana-client`: what is there, and how boards, data sources and rules get there.

The library lives in an environment of its own (`make boards`): it pulls a package that replaces `urllib3` for
everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from vitals.errors import ConfigurationError, PermanentError, RetryableError
from wardlight.boards_plan import Board, mark_of, marked

FOLDER_UID: Final = "wardlight"
FOLDER_TITLE: Final = "Wardlight"
_TIMEOUT_S: Final = 15.0
_NEEDED: Final = (
    "folders:create",
    "dashboards:create",
    "dashboards:write",
    "datasources:create",
    "alert.provisioning:write",
)


class Grafana:
    """One Grafana. Every method raises `PermanentError` or `RetryableError` that says what to check."""

    def __init__(self, url: str, token_file: Path) -> None:
        try:
            grafana_client = import_module("grafana_client")  # untyped, and absent where types are checked
        except ImportError:
            raise ConfigurationError(
                "boards: grafana-client is not installed here, and must not be: it replaces urllib3 for the server. "
                "Run `make boards`, then call .venv-boards/bin/wardlight boards …"
            ) from None
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ConfigurationError("boards: --url has to look like https://grafana.example:3000")
        self._failure: type[Exception] = grafana_client.client.GrafanaException
        auth = grafana_client.TokenAuth(_token(token_file))
        self._api = grafana_client.GrafanaApi.from_url(url=url, credential=auth, timeout=_TIMEOUT_S)
        self._url = url

    def lacking(self) -> list[str]:
        """Permissions that the service account lacks; all of them when it may ask for nothing."""
        granted = self._ask(
            "asking what the token may do", lambda: self._api.client.GET("/access-control/user/permissions")
        )
        return [name for name in _NEEDED if name not in (granted or {})]

    def boards(self, uids: list[str]) -> dict[str, Board]:
        """Those of `uids` that exist."""
        found = {uid: self._find(lambda uid=uid: self._api.dashboard.get_dashboard(uid)) for uid in uids}  # type: ignore[misc]  # a default binds the loop's value
        return {uid: answer["dashboard"] for uid, answer in found.items() if answer is not None}

    def ensure_folder(self) -> bool:
        """Whether the folder had to be made."""
        if self._find(lambda: self._api.folder.get_folder(FOLDER_UID)) is not None:
            return False
        self._ask("making the folder", lambda: self._api.folder.create_folder(FOLDER_TITLE, FOLDER_UID))
        return True

    def install(self, board: Board) -> None:
        """Write `board` with its mark, over whatever has its uid."""
        payload = {
            "dashboard": {**marked(board), "id": None},
            "folderUid": FOLDER_UID,
            "overwrite": True,
            "message": "installed by wardlight boards",
        }
        self._ask(f"installing {board['uid']}", lambda: self._api.dashboard.update_dashboard(payload))

    def remove(self, uid: str) -> bool:
        """Delete a board that is ours; whether there was one."""
        there = self.boards([uid]).get(uid)
        if there is None or mark_of(there) is None:
            return False
        self._ask(f"removing {uid}", lambda: self._api.dashboard.delete_dashboard(uid))
        return True

    def ensure_source(self, source: dict[str, Any]) -> bool:
        """Whether the data source had to be made; one that exists is left as it is, for it holds a person's secrets."""
        if self._find(lambda: self._api.datasource.get_datasource_by_uid(source["uid"])) is not None:
            return False
        self._ask(f"making data source {source['name']}", lambda: self._api.datasource.create_datasource(source))
        return True

    def ensure_rule(self, rule: dict[str, Any]) -> bool:
        """Whether the rule had to be made; an existing one is left as it is."""
        if self._find(lambda: self._api.alertingprovisioning.get_alertrule(rule["uid"])) is not None:
            return False
        make = self._api.alertingprovisioning.create_alertrule
        self._ask(f"making the rule {rule['title']}", lambda: make(rule, disable_provenance=True))
        return True

    def remove_rule(self, uid: str) -> bool:
        """Delete a rule of ours; whether there was one."""
        if self._find(lambda: self._api.alertingprovisioning.get_alertrule(uid)) is None:
            return False
        delete = self._api.alertingprovisioning.delete_alertrule
        self._ask(f"removing the rule {uid}", lambda: delete(uid))
        return True

    # -- inside ------------------------------------------------------------------------------------------------------

    def _find(self, question: Callable[[], Any]) -> Any:
        """The answer; `None` when Grafana knows no such thing."""
        try:
            return self._ask("asking", question)
        except _NotFoundError:
            return None

    def _ask(self, doing: str, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except self._failure as error:
            raise self._typed(doing, error) from error
        except OSError as error:
            raise RetryableError(
                f"{doing}: {self._url} does not answer ({error}): is --url right, does it run?"
            ) from error

    def _typed(self, doing: str, error: Exception) -> Exception:
        status = getattr(error, "status_code", 0)
        if status == 404:
            return _NotFoundError(f"{doing}: Grafana knows no such thing")
        advice = {
            401: "the token is not accepted: make a new one for the service account, and write it into --token-file",
            403: "the service account may not do that: give it the role Editor, and for data sources Admin",
            409: "something of that name exists already: look at it in Grafana, and rename or remove it",
            412: "somebody changed it just now: run `wardlight boards diff`",
        }.get(status, "")
        told = f"{doing}: Grafana says {error}" + (f"; {advice}" if advice else "")
        return RetryableError(told) if status == 0 or status >= 500 else PermanentError(told)


class _NotFoundError(PermanentError):
    """Grafana's 404."""


@dataclass(frozen=True, slots=True)
class Database:
    """Where Grafana finds the readings. `place`: bucket or database; `rollups`: of rollups, often `…_rollup`."""

    url: str
    place: str = "vitals"
    rollups: str = "vitals_rollup"
    token: str = ""


def sources(language: str, database: Database) -> list[dict[str, Any]]:
    """The data sources that the boards in `language` choose at first."""
    if language == "metricsql":
        return [_source("metrics", "Wardlight metrics", "prometheus", database.url, {}, {})]
    header = {"httpHeaderName1": "Authorization"} if database.token else {}
    secret = {"httpHeaderValue1": f"Token {database.token}"} if database.token else {}
    return [
        _source(name, f"Wardlight {name}", "influxdb", database.url, {"dbName": place, **header}, secret)
        for name, place in (("readings", database.place), ("rollups", database.rollups))
    ]


def _source(
    name: str, title: str, plugin: str, url: str, settings: dict[str, str], secrets: dict[str, str]
) -> dict[str, Any]:  # fmt: skip
    found: dict[str, Any] = {"uid": f"wardlight-{name}", "name": title, "type": plugin, "access": "proxy", "url": url}
    found["jsonData"] = {"httpMethod": "POST", **settings}
    return {**found, "secureJsonData": secrets} if secrets else found


def _token(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"boards: --token-file {path} cannot be read ({error}): write the token of a service account into it"
        ) from error
    if not token or not token.isascii() or any(character.isspace() for character in token):
        raise ConfigurationError(f"boards: --token-file {path} has to hold the token alone, on one line")
    return token
