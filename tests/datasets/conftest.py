"""A local web server, empty caches, and the folder of real datasets if there is one."""

import hashlib
import os
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from metaplastic.datasets.fetch import Fetch, RemoteFile


class Server:
    """Serves `files`; those named in `cut` lose their second half on the way."""

    def __init__(self, port: int):
        self.address = f"http://127.0.0.1:{port}"
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.asked: list[str] = []

    def offer(self, name: str, content: bytes) -> RemoteFile:
        self.files[name] = content
        return RemoteFile(name, f"{self.address}/{name}", f"sha256:{hashlib.sha256(content).hexdigest()}")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/")
            served.asked.append(name)
            if name not in served.files:
                self.send_error(404)
                return
            content = served.files[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if name in served.cut else content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        served = Server(http.server_port)
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        http.shutdown()
        thread.join()


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    """Without a mirror."""
    return Fetch(tmp_path / "cache")


@pytest.fixture
def mirror(tmp_path: Path) -> Callable[..., Fetch]:
    """Call with a source and its files to get a `Fetch` whose mirror holds them."""

    def fill(source: str, **files: bytes) -> Fetch:
        folder = tmp_path / "mirror" / source
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return Fetch(tmp_path / "cache", tmp_path / "mirror")

    return fill


@pytest.fixture
def real(tmp_path: Path) -> Fetch:
    """With the mirror that the environment names."""
    folder = os.environ.get("METAPLASTIC_MIRROR")
    if not folder:
        pytest.skip("METAPLASTIC_MIRROR names no folder of real datasets")
    return Fetch(tmp_path / "cache", Path(folder))
