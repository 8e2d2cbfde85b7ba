"""Official files: from a server of the test's own, and from a hub that isn't there."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest

from aflow_verl.benchmarks.data.fetch import fetch
from aflow_verl.benchmarks.data.layout import LAYOUTS, Hub, Url
from aflow_verl.errors import UserError

CONTENT = b'{"a": 1}\n'


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """Address of a server with one file, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path.endswith("rows.jsonl") else 404)
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as one:
        thread = threading.Thread(target=one.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{one.server_port}", asked
        one.shutdown()
        thread.join()


def test_a_file_is_fetched_once_and_checked(server: tuple[str, list[str]], tmp_path: Path) -> None:
    address, asked = server
    official = Url(f"{address}/rows.jsonl", hashlib.sha256(CONTENT).hexdigest())
    said: list[str] = []
    (path,) = fetch(official, tmp_path, said.append)
    assert path.read_bytes() == CONTENT
    assert fetch(official, tmp_path, said.append) == [path]
    assert asked == ["/rows.jsonl"]
    assert said == [f"fetching {address}/rows.jsonl"]
    with pytest.raises(UserError, match="is not the file that was expected"):
        fetch(Url(f"{address}/rows.jsonl", "0" * 64), tmp_path, said.append)
    with pytest.raises(UserError, match=r"nothing can't be fetched \(HTTP Error 404"):
        fetch(Url(f"{address}/nothing", "1" * 64), tmp_path, said.append)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


def test_files_of_the_hub_at_their_revision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def download(repository: str, file: str, *, repo_type: str, revision: str) -> str:
        return f"/{repository}/{repo_type}/{revision}/{file}"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    said: list[str] = []
    assert fetch(Hub("o/d", "abc", ("1.parquet", "2.parquet")), tmp_path, said.append) == [
        Path("/o/d/dataset/abc/1.parquet"),
        Path("/o/d/dataset/abc/2.parquet"),
    ]
    assert said == ["fetching 1.parquet of o/d@abc", "fetching 2.parquet of o/d@abc"]


def test_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(*_: object, **__: object) -> str:
        try:
            raise ConnectionError("no\nroute")
        except ConnectionError as cause:
            raise RuntimeError("see the hub's documentation") from cause

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(UserError, match=r"^o/d@abc can't be fetched \(no route\)$"):
        fetch(Hub("o/d", "abc", ("1.parquet",)), tmp_path, lambda _: None)


def test_what_is_fetched_is_pinned() -> None:
    for layout in LAYOUTS.values():
        match layout.official:
            case Hub(revision=revision):
                assert len(revision) == 40
            case Url(url=url, sha256=checksum):
                assert url.startswith("https://")
                assert len(checksum) == 64
