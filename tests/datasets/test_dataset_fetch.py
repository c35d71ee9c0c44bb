import gc
from pathlib import Path

import pytest
import refusals
from metaplastic.datasets.fetch import Fetch, RemoteFile, members_digest, package_file, verify
from metaplastic.io.errors import InputError

CONTENT = bytes(range(256)) * 1000


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """No waiting between attempts."""
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_download_is_kept_and_not_repeated(server, fetch):
    file = server.offer("a.gz", CONTENT)
    raw = fetch("mnist", file)
    assert raw.path == fetch.cache.absolute() / "mnist" / "a.gz"
    assert raw.path.read_bytes() == raw.content == CONTENT
    assert fetch("mnist", file) == raw
    assert server.asked == ["a.gz"]
    assert left_in(fetch.cache) == ["a.gz"]


def test_a_spoilt_copy_in_the_cache_is_replaced(server, fetch):
    file = server.offer("a.gz", CONTENT)
    fetch("mnist", file).path.write_bytes(b"spoilt")
    assert fetch("mnist", file).path.read_bytes() == CONTENT


def refused(fetch: Fetch, file: RemoteFile) -> str:
    message = refusals.refused(fetch, "mnist", file)
    assert message.startswith(file.url)
    assert message.endswith("or put the file at <mirror>/mnist/a.gz and set data.mirror (--mirror)")
    assert left_in(fetch.cache) == []
    return message


def test_a_wrong_checksum_is_refused(server, fetch):
    file = server.offer("a.gz", CONTENT)
    server.files["a.gz"] = b"something else"
    message = refused(fetch, file)
    assert file.checksum.removeprefix("sha256:") in message


def test_what_arrives_at_the_second_attempt_is_kept(server, fetch, monkeypatch):
    file = server.offer("a.gz", CONTENT)
    server.files["a.gz"] = b"something else"
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: server.files.update({"a.gz": CONTENT}))
    assert fetch("mnist", file).path.read_bytes() == CONTENT
    assert server.asked == ["a.gz"] * 2


def test_an_absent_file_is_refused(server, fetch):
    assert "404" in refused(fetch, RemoteFile("a.gz", f"{server.address}/a.gz", f"sha256:{'0' * 64}"))


@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
def test_a_truncated_body_is_asked_for_again_and_then_refused(server, fetch):
    file = server.offer("a.gz", CONTENT)
    server.cut.add("a.gz")
    assert "128000" in refused(fetch, file)
    assert server.asked == ["a.gz"] * 3
    gc.collect()  # pooch leaves the broken connection to the collector


def test_a_silent_host_is_refused(fetch):
    refused(fetch, RemoteFile("a.gz", "http://127.0.0.1:9/a.gz", f"sha256:{'0' * 64}"))


def test_the_mirror_comes_first_and_is_verified(server, mirror):
    file = server.offer("a.gz", CONTENT)
    fetch = mirror("mnist", **{"a.gz": CONTENT})
    assert fetch("mnist", file) == (fetch.mirror / "mnist" / "a.gz", CONTENT)
    mirror("mnist", **{"a.gz": b"other"})
    message = refusals.refused(fetch, "mnist", file)
    assert f"mirror/mnist/a.gz: wrong checksum, expected {file.checksum}, got sha256:" in message
    assert server.asked == []


def test_what_the_mirror_lacks_is_downloaded(server, mirror):
    fetch = mirror("mnist")
    assert fetch("mnist", server.offer("a.gz", CONTENT)).path.read_bytes() == CONTENT


def test_an_absent_mirror_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"^--mirror .*/nowhere: no such folder"):
        Fetch(tmp_path, tmp_path / "nowhere")


def test_verify_knows_md5():
    verify(b"abc", "md5:900150983cd24fb0d6963f7d28e17f72", "x")
    with pytest.raises(InputError, match=r"^x: wrong checksum, expected md5:900.*, got md5:"):
        verify(b"abd", "md5:900150983cd24fb0d6963f7d28e17f72", "x")


def test_members_digest_ignores_order_alone():
    members = [("a", b"1"), ("b", b"2")]
    assert members_digest(members) == members_digest(members[::-1])
    assert members_digest(members) != members_digest([("a", b"2"), ("b", b"1")])


def test_absent_packages_and_files_are_named():
    with pytest.raises(InputError, match=r"^no_such_package/a: not found; install no_such_package again$"):
        package_file("no_such_package", "a")
    assert refusals.refused(package_file, "mlxtend", "data", "none").startswith("mlxtend/data/none: not found")


def test_a_folder_in_place_of_a_file_of_the_mirror_is_named(mirror):
    fetch = mirror("mnist")
    (fetch.mirror / "mnist/a.gz").mkdir()
    with pytest.raises(InputError, match=r"mnist/a\.gz: a folder where the mirror should have a file; replace or"):
        fetch.mirrored("mnist", "a.gz")
