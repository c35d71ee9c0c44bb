import hashlib
import io
import stat
import tarfile
import zipfile

import pytest
from metaplastic.config.base import parse_spec
from metaplastic.datasets.archives import read_tar, read_zip
from metaplastic.datasets.sources import cifar_10, imdb, movie_sentences
from metaplastic.datasets.spec import Dataset
from metaplastic.io.errors import InputError
from refusals import refused


def tar_of(*members, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content)
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = "/etc/passwd"
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def read(archive):
    return read_tar(archive, lambda name: name.endswith(".txt"))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_tar_members_are_read_by_name(mode):
    members = (
        ("folder", b"", tarfile.DIRTYPE),
        ("folder/a.txt", b"a", tarfile.REGTYPE),
        ("b.bin", b"b", tarfile.REGTYPE),
        ("link.txt", b"", tarfile.SYMTYPE),
        ("device.txt", b"", tarfile.CHRTYPE),
    )
    assert read(tar_of(*members, mode=mode)) == {"folder/a.txt": b"a"}


def test_a_hostile_tar_is_refused_by_its_checksum_before_it_is_unpacked(mirror, monkeypatch):
    archive = tar_of(("../a.txt", b"", tarfile.REGTYPE))
    monkeypatch.setattr(tarfile, "open", lambda *_, **__: pytest.fail("unpacked"))
    for module, name in (
        (cifar_10, cifar_10.ARCHIVE.name),
        (imdb, imdb.ARCHIVE.name),
        (movie_sentences, movie_sentences.ARCHIVE),
    ):
        fetch = mirror(module.ABOUT.source, **{name: archive})
        spec = parse_spec(Dataset, f'{{"source": "{module.ABOUT.source}"}}')
        message = refused(module.prepare, spec, fetch)
        assert message.startswith(f"{fetch.mirror / module.ABOUT.source / name}: wrong checksum, expected sha256:")
        assert f", got sha256:{hashlib.sha256(archive).hexdigest()}; remove or replace it" in message


def test_a_sparse_member_of_a_tar_is_not_read():
    # It states any size and takes no room: the archive's own size bounds only what is stored.
    header = tarfile.TarInfo("a.txt")
    header.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.size": "1000000000000", "GNU.sparse.map": "0,0"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(header, io.BytesIO())
    assert read(buffer.getvalue()) == {}


def test_the_wanted_members_of_a_zip_have_a_total(tmp_path):
    path = zip_of(tmp_path / "x.zip", ("a.txt", bytes(900), 0), ("b.bin", bytes(900), 0), ("c.txt", bytes(900), 0))
    assert len(unzip(path, total=1800)) == 2
    assert refused(unzip, path, total=1799) == "x.zip: unpacks to more than 1799 bytes; replace the file"


def zip_of(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            file.writestr(info, content)
    return path


def unzip(path, **limits):
    return dict(read_zip(path, lambda name: name.endswith(".txt"), place="x.zip", limit=1000, **limits))


def test_zip_members_are_read_by_name(tmp_path):
    path = zip_of(tmp_path / "x.zip", ("f/", b"", stat.S_IFDIR), ("f/a.txt", b"a", stat.S_IFREG), ("b", b"b", 0))
    assert unzip(path) == {"f/a.txt": b"a"}


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (("../a.txt", b"", 0), "leads out of the archive"),
        (("a.txt", b"/etc/passwd", stat.S_IFLNK), "member 'a.txt' is a link"),
        (("a.txt", b"x" * 1001, 0), "member 'a.txt' has more than 1000 bytes"),
    ],
)
def test_hostile_zips_are_refused(tmp_path, member, message):
    with pytest.raises(InputError, match=rf"^x\.zip: .*{message}"):
        unzip(zip_of(tmp_path / "x.zip", member))


def test_truncated_and_corrupt_zips_are_refused(tmp_path):
    path = zip_of(tmp_path / "x.zip", ("a.txt", bytes(range(256)), 0))
    whole = path.read_bytes()
    for broken in (whole[:-30], whole.replace(bytes(range(40, 60)), bytes(20))):
        path.write_bytes(broken)
        assert refused(unzip, path).startswith("x.zip: truncated or no zip archive")
