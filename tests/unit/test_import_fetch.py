"""Fetching from a local server that speaks OSF's API: pages, folders, Range, redirections, cuts and wrong checksums."""

import argparse
import hashlib
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from exobench.data import fetch
from exobench.data.fetch import fetch_exogan
from exobench.data.import_command import add_fetch_arguments
from exobench.data.osf import OsfClient
from exobench.errors import ExobenchError

ROOT = "/v2/nodes/6dxps/files/osfstorage/"


class FakeOsf:
    """A project of files in a folder and beside it, listed two a page, and knobs for what goes wrong."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.files = {f"/set/chunck_{n}.pkgz": rng.bytes(40_000 + n) for n in range(3)} | {"/README.txt": b"spectra"}
        self.requests = []
        self.cuts = {}  # path: bytes after which the connection is cut, once for each entry
        self.wrong_hash = set()
        self.without_hash = set()
        self.ignore_range = False
        self.redirect_to = None
        self.items = {}  # path: changes of the listed item
        self.error = None
        self.download_error = None
        handler = type("Handler", (_Handler,), {"osf": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def listing(self, path, page):
        inside = [name for name in self.files if name.startswith("/set/")]
        if path == ROOT:
            items = [self.folder("/set/"), *(self.file(name) for name in self.files if name not in inside)]
        else:
            items = [self.file(name) for name in inside]
        following = f"{self.url}{path}?page={page + 1}" if 2 * page < len(items) else None
        return {"data": items[2 * page - 2 : 2 * page], "links": {"next": following, "meta": {"per_page": 2}}}

    def folder(self, path):
        related = {"href": f"{self.url}{ROOT}{path.strip('/')}/"}
        return {
            "type": "files",
            "attributes": {"kind": "folder", "name": path.strip("/"), "materialized_path": path},
            "relationships": {"files": {"links": {"related": related}}},
        }

    def file(self, path):
        content = self.files[path]
        hashes = {name: hashlib.new(name, content).hexdigest() for name in ("md5", "sha256")}
        if path in self.wrong_hash:
            hashes["sha256"] = "0" * 64
        attributes = {
            "kind": "file",
            "name": path.rpartition("/")[2],
            "materialized_path": path,
            "size": len(content),
            "extra": {"hashes": {} if path in self.without_hash else hashes},
        }
        links = {"download": f"{self.url}/download{path}"}
        change = self.items.get(path, {})
        return {
            "type": "files",
            "attributes": attributes | change.get("attributes", {}),
            "links": links | change.get("links", {}),
        }


class _Handler(BaseHTTPRequestHandler):
    osf: FakeOsf

    def do_GET(self):
        path, _, query = self.path.partition("?")
        self.osf.requests.append((path, self.headers.get("Range")))
        if self.osf.error:
            self.send_error(self.osf.error)
        elif self.osf.download_error and path.startswith("/download/"):
            self.send_error(self.osf.download_error)
        elif path.startswith(ROOT):
            page = int(query.removeprefix("page=") or 1)
            self.answer(200, json.dumps(self.osf.listing(path, page)).encode())
        elif path.startswith("/download/") and self.osf.redirect_to:
            self.send_response(302)
            self.send_header("Location", self.osf.redirect_to + path.removeprefix("/download"))
            self.end_headers()
        else:
            self.send_file(path.removeprefix("/download").removeprefix("/storage"))

    def send_file(self, path):
        content, given = self.osf.files[path], self.headers.get("Range")
        if given and not self.osf.ignore_range:
            start = int(given.removeprefix("bytes=").removesuffix("-"))
            place = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.answer(206, content[start:], self.cut(path), {"Content-Range": place})
        else:
            self.answer(200, content, self.cut(path))

    def cut(self, path):
        return self.osf.cuts[path].pop(0) if self.osf.cuts.get(path) else None

    def answer(self, status, content, cut=None, headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[:cut])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def osf():
    server = FakeOsf()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def get(osf, target, **settings):
    return fetch_exogan(target, base_url=osf.url, progress=False, pause_seconds=0.0, **settings)


def downloads(osf):
    return [(path.rpartition("/")[2], given) for path, given in osf.requests if path.startswith("/download")]


def assert_complete(osf, target):
    found = {"/" + path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*.*")}
    assert found == osf.files


def test_every_file_of_every_page_and_folder_is_fetched_once(osf, tmp_path):
    paths = get(osf, tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in paths} == {name.strip("/") for name in osf.files}
    assert_complete(osf, tmp_path)
    n = len(downloads(osf))
    assert n == len(osf.files)
    get(osf, tmp_path)
    assert len(downloads(osf)) == n


def test_a_pattern_and_a_dry_run(osf, tmp_path, capsys):
    paths = get(osf, tmp_path, pattern="chunck_1*")
    assert [path.name for path in paths] == ["chunck_1.pkgz"]
    assert [path.name for path in tmp_path.rglob("*.*")] == ["chunck_1.pkgz"]
    get(osf, tmp_path, dry_run=True)
    assert "set/chunck_2.pkgz  0.000 GB  sha256 " in capsys.readouterr().out
    assert len(downloads(osf)) == 1
    with pytest.raises(ExobenchError, match="lists no file named nothing"):
        get(osf, tmp_path, pattern="nothing")


def test_a_cut_connection_goes_on_where_it_was_cut(osf, tmp_path):
    osf.cuts["/set/chunck_1.pkgz"] = [15_000, 10_000]
    get(osf, tmp_path)
    assert_complete(osf, tmp_path)
    ranges = [given for name, given in downloads(osf) if name == "chunck_1.pkgz"]
    assert ranges == [None, "bytes=15000-", "bytes=25000-"]


def test_a_part_of_an_earlier_run_is_gone_on_with(osf, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/chunck_2.pkgz.part").write_bytes(osf.files["/set/chunck_2.pkgz"][:30_000])
    get(osf, tmp_path)
    assert_complete(osf, tmp_path)
    assert ("chunck_2.pkgz", "bytes=30000-") in downloads(osf)


@pytest.mark.parametrize("n_bytes", [12_345, 40_002, 50_000])
def test_a_server_without_ranges_and_parts_of_any_length(osf, tmp_path, n_bytes):
    osf.ignore_range = True
    (tmp_path / "set").mkdir()
    content = (osf.files["/set/chunck_2.pkgz"] * 2)[:n_bytes]
    (tmp_path / "set/chunck_2.pkgz.part").write_bytes(content)
    get(osf, tmp_path)
    assert_complete(osf, tmp_path)


def test_a_lasting_cut_keeps_the_part_and_says_how_to_go_on(osf, tmp_path):
    osf.cuts["/set/chunck_0.pkgz"] = [1000] * 5
    with pytest.raises(ExobenchError, match=r"cut after 5,000 of 40,000 bytes\. What was downloaded is kept: run"):
        get(osf, tmp_path)
    assert (tmp_path / "set/chunck_0.pkgz.part").stat().st_size == 5000
    assert not (tmp_path / "set/chunck_0.pkgz").exists()
    get(osf, tmp_path)
    assert_complete(osf, tmp_path)


def test_a_wrong_checksum_leaves_no_file(osf, tmp_path):
    osf.wrong_hash = {"/set/chunck_1.pkgz"}
    with pytest.raises(
        ExobenchError, match=r"set/chunck_1\.pkgz: the download has sha256 [0-9a-f]{64} in place of 0{64}"
    ):
        get(osf, tmp_path)
    assert not list(tmp_path.rglob("chunck_1*"))


def test_a_damaged_part_is_found_by_its_checksum(osf, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/chunck_0.pkgz.part").write_bytes(b"x" * 100)
    with pytest.raises(ExobenchError, match="it was deleted, run the command again"):
        get(osf, tmp_path)
    get(osf, tmp_path)
    assert_complete(osf, tmp_path)


def test_without_a_checksum_the_size_must_do(osf, tmp_path):
    osf.without_hash = set(osf.files)
    get(osf, tmp_path)
    assert_complete(osf, tmp_path)


def test_a_file_of_another_content_is_not_overwritten(osf, tmp_path):
    own = tmp_path / "README.txt"
    own.write_bytes(b"my file")
    with pytest.raises(ExobenchError, match=r"README\.txt is there but differs"):
        get(osf, tmp_path)
    assert own.read_bytes() == b"my file"


def test_offline_says_how_to_place_the_files_by_hand(osf, tmp_path):
    osf.close()
    with pytest.raises(ExobenchError, match="cannot be reached") as error:
        get(osf, tmp_path / "files")
    text = str(error.value)
    assert "\n" not in text
    assert "open https://osf.io/6dxps in a browser" in text
    assert f"put the files chunck_*.pkgz in {tmp_path / 'files'}" in text
    assert f"python -m exobench.data import exogan {tmp_path / 'files'}" in text
    osf.server = SimpleNamespace(shutdown=lambda: None, server_close=lambda: None)


@pytest.mark.parametrize("status", [403, 404, 503])
def test_an_error_of_the_server_is_named(osf, tmp_path, status):
    osf.error = status
    with pytest.raises(ExobenchError, match=rf"osfstorage/ answered {status} .* in a browser"):
        get(osf, tmp_path)


@pytest.mark.parametrize(("status", "n_attempt"), [(404, 1), (503, 5)])
def test_only_errors_that_may_pass_are_tried_again(osf, tmp_path, status, n_attempt):
    osf.download_error = status
    with pytest.raises(ExobenchError, match=rf"answered {status}"):
        get(osf, tmp_path)
    assert len(downloads(osf)) == n_attempt


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///etc/hostname", "only http and https"),
        ("ftp://osf.io/x", "only http and https"),
        ("https://example.org/x", r"example\.org is not a host of osf\.io"),
        ("https://osf.io.example.org/x", "is not a host of osf"),
        ("https://storage.googleapis.com/x", "is not a host of osf"),
        ("http://files.osf.io/x", "reached by https"),
    ],
)
def test_links_to_other_places_are_not_followed(osf, tmp_path, url, message):
    osf.items["/set/chunck_0.pkgz"] = {"links": {"download": url}}
    with pytest.raises(ExobenchError, match=message):
        get(osf, tmp_path, pattern="*.pkgz")
    assert not list(tmp_path.rglob("chunck_0*"))


def test_redirections_are_held_to_the_same_hosts(osf, tmp_path):
    osf.redirect_to = f"{osf.url}/storage"
    get(osf, tmp_path)
    assert_complete(osf, tmp_path)
    osf.redirect_to = "https://example.org"
    with pytest.raises(ExobenchError, match="example"):
        get(osf, tmp_path / "again")
    client = OsfClient()
    client._check("https://files.osf.io/v1/resources/6dxps")
    client._check("https://storage.googleapis.com/x", redirected=True)


@pytest.mark.parametrize("path", ["/../evil.pkgz", "/set/..", "/a\\b", "/set//x", "/a\x00b", ""])
def test_names_that_lead_out_of_the_folder_are_refused(osf, tmp_path, path):
    osf.items["/README.txt"] = {"attributes": {"materialized_path": path, "name": path}}
    with pytest.raises(ExobenchError, match="which is no plain path"):
        get(osf, tmp_path / "files")
    assert not list(tmp_path.rglob("*.*"))


def test_more_bytes_than_listed_are_refused(osf, tmp_path):
    osf.items["/README.txt"] = {"attributes": {"size": 3}}
    with pytest.raises(ExobenchError, match="sends more than the 3 bytes"):
        get(osf, tmp_path)


def test_a_listing_that_never_ends_is_noticed(osf, tmp_path):
    osf.listing = lambda path, page: {"data": [], "links": {"next": f"{osf.url}{ROOT}"}}
    with pytest.raises(ExobenchError, match="does not end"):
        get(osf, tmp_path)


@pytest.mark.parametrize("answer", [[], {"data": 3, "links": {}}, {"data": []}, {"data": ["x"], "links": {}}])
def test_an_answer_that_is_no_listing_is_refused(osf, tmp_path, answer):
    osf.listing = lambda path, page: answer
    with pytest.raises(ExobenchError, match="the answer is not a listing of files"):
        get(osf, tmp_path)


def test_too_little_disk_is_said_before_the_download(osf, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(ExobenchError, match=r"the disk has 0\.000 GB free"):
        get(osf, tmp_path)
    assert downloads(osf) == []


def test_command_fetches_into_the_data_folder(osf, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fetch, "OSF_API", osf.url)
    monkeypatch.setattr(fetch_exogan, "__kwdefaults__", fetch_exogan.__kwdefaults__ | {"base_url": osf.url})
    parser = argparse.ArgumentParser()
    add_fetch_arguments(parser)
    arguments = parser.parse_args(["exogan", "--data", str(tmp_path), "--pattern", "*.pkgz"])
    assert arguments.run(arguments) == 0
    out = capsys.readouterr().out
    assert f"3 files in {tmp_path / 'sources/exogan'}; next: python -m exobench.data import exogan" in out
