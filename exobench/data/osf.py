"""The part of the Open Science Framework's API (version 2, JSON) that lists a public project's files.

A listing is ``{"data": [...], "links": {"next": url or null}}``. A file has ``attributes`` (``kind``, ``name``,
``materialized_path``, ``size``, ``extra.hashes``) and ``links.download``; a folder has
``relationships.files.links.related.href``.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import PurePosixPath
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from exobench.errors import ExobenchError

OSF_API = "https://api.osf.io"
TIMEOUT_SECONDS = 60.0

_OSF_HOST = "osf.io"
_STORAGE_HOSTS = ("storage.googleapis.com",)
"""Where OSF's own file server sends downloads on to; never accepted as a link of the API itself."""
_MAX_PAGE_BYTES = 16 << 20
_MAX_PAGES = 10_000
_PLAIN_PART = re.compile(r"[^/\\\x00-\x1f]+")


class Unreachable(ExobenchError):
    """The server could not be reached, or answered with an error.

    Attributes:
        may_pass: whether another attempt may succeed.
    """

    def __init__(self, message: str, *, may_pass: bool = True) -> None:
        super().__init__(message)
        self.may_pass = may_pass


@dataclass(frozen=True)
class RemoteFile:
    """A file of a project.

    Attributes:
        path: inside the project, relative and free of "..".
        url: of the content.
        size: bytes, None where the API gives none.
        sha256: checksum in hex, or None.
        md5: checksum in hex, or None.
    """

    path: PurePosixPath
    url: str
    size: int | None
    sha256: str | None
    md5: str | None


class OsfClient:
    """Opens addresses of one API host and of osf.io, over HTTP and HTTPS only.

    Args:
        base_url: of the API.

    Raises:
        ExobenchError: the address is not one of HTTP or HTTPS.
    """

    def __init__(self, base_url: str = OSF_API) -> None:
        self.base_url = base_url.rstrip("/")
        self._host = urlsplit(self.base_url).hostname or ""
        self._check(self.base_url)
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
            _Redirects(self),
        ):
            self._opener.add_handler(handler)

    def open(self, url: str, headers: dict[str, str] | None = None) -> HTTPResponse:
        """Opens an address that the API gave.

        Raises:
            ExobenchError: its host is not allowed.
            Unreachable: no connection, or an answer that is an error.
        """
        self._check(url)
        request = urllib.request.Request(url, headers={"User-Agent": "exobench", **(headers or {})})
        try:
            response: HTTPResponse = self._opener.open(request, timeout=TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            error.close()
            may_pass = error.code >= 500 or error.code == 429
            raise Unreachable(f"{url} answered {error.code} {error.reason}.", may_pass=may_pass) from error
        except (OSError, HTTPException) as error:
            raise Unreachable(f"{url} cannot be reached ({getattr(error, 'reason', error)}).") from error
        return response

    def list_files(self, project: str) -> Iterator[RemoteFile]:
        """The files in a project's own storage, folders included.

        Raises:
            ExobenchError: an answer is not what the API promises.
            Unreachable: no connection.
        """
        folders = [f"{self.base_url}/v2/nodes/{project}/files/osfstorage/"]
        seen: set[str] = set()
        while folders:
            page: str | None = folders.pop()
            while page:
                if page in seen or len(seen) >= _MAX_PAGES:
                    raise ExobenchError(f"{page}: the listing does not end.")
                seen.add(page)
                items, following = self._page(page)
                for item in items:
                    if item.get("attributes", {}).get("kind") == "folder":
                        folders.append(_text(page, item, "relationships", "files", "links", "related", "href"))
                    else:
                        yield _remote_file(page, item)
                page = following

    def _page(self, url: str) -> tuple[list[dict[str, Any]], str | None]:
        try:
            with self.open(url, {"Accept": "application/json"}) as response:
                content = response.read(_MAX_PAGE_BYTES + 1)
        except (OSError, HTTPException) as error:
            raise Unreachable(f"{url}: the connection was cut ({error}).") from error
        if len(content) > _MAX_PAGE_BYTES:
            raise ExobenchError(f"{url}: the listing is larger than {_MAX_PAGE_BYTES >> 20} MiB.")
        try:
            answer = json.loads(content)
            items, following = answer["data"], answer["links"].get("next")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ExobenchError(f"{url}: the answer is not a listing of files ({error!r}).") from error
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise ExobenchError(f"{url}: the answer is not a listing of files.")
        return items, urljoin(url, following) if isinstance(following, str) else None

    def _check(self, url: str, *, redirected: bool = False) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        of_osf = host == _OSF_HOST or host.endswith(f".{_OSF_HOST}") or (redirected and host in _STORAGE_HOSTS)
        if parts.scheme not in ("http", "https") or not host:
            raise ExobenchError(f"'{url}' is refused: only http and https addresses are opened.")
        if host != self._host and not (of_osf and parts.scheme == "https"):
            raise ExobenchError(f"'{url}' is refused: {host} is not a host of {_OSF_HOST} reached by https.")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirection only to a host that is allowed, and never from https to http."""

    def __init__(self, client: OsfClient) -> None:
        self._client = client

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        """Checks the new address first."""
        self._client._check(newurl, redirected=True)
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise ExobenchError(f"'{newurl}' is refused: a redirection from https to http.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _remote_file(page: str, item: dict[str, Any]) -> RemoteFile:
    attributes = item["attributes"]
    hashes = (attributes.get("extra") or {}).get("hashes") or {}
    size = attributes.get("size")
    return RemoteFile(
        path=_safe_path(page, str(attributes.get("materialized_path") or attributes.get("name") or "")),
        url=urljoin(page, _text(page, item, "links", "download")),
        size=size if isinstance(size, int) and size >= 0 else None,
        sha256=_hex(hashes.get("sha256"), 64),
        md5=_hex(hashes.get("md5"), 32),
    )


def _safe_path(page: str, listed: str) -> PurePosixPath:
    parts = listed.strip("/").split("/")
    if not all(_PLAIN_PART.fullmatch(part) and part not in (".", "..") for part in parts):
        raise ExobenchError(f"{page}: lists a file named {listed!r}, which is no plain path.")
    return PurePosixPath(*parts)


def _hex(value: object, n: int) -> str | None:
    return value.lower() if isinstance(value, str) and re.fullmatch(f"[0-9a-fA-F]{{{n}}}", value) else None


def _text(page: str, item: dict[str, Any], *keys: str) -> str:
    value: Any = item
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, str):
        raise ExobenchError(f"{page}: a listed file lacks {'.'.join(keys)}.")
    return value
