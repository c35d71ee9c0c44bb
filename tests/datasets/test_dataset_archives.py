import gzip
import io
import lzma
import stat
import tarfile
import zipfile

import pytest
from metaplastic.datasets.sources.archives import read_compressed, read_tar, read_zip
from metaplastic.io.errors import InputError


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


def read(archive, **limits):
    return dict(read_tar(archive, lambda name: name.endswith(".txt"), place="x.tar", **{"limit": 1000, **limits}))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_tar_members_are_read_by_name(mode):
    members = (
        ("folder", b"", tarfile.DIRTYPE),
        ("folder/a.txt", b"a", tarfile.REGTYPE),
        ("b.bin", b"b", tarfile.REGTYPE),
    )
    assert read(tar_of(*members, mode=mode)) == {"folder/a.txt": b"a"}


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (("../a.txt", b"", tarfile.REGTYPE), "member '../a.txt' leads out of the archive"),
        (("/a.txt", b"", tarfile.REGTYPE), "member '/a.txt' leads out of the archive"),
        (("b/../../a", b"", tarfile.REGTYPE), "leads out of the archive"),
        (("c:\\a.txt", b"", tarfile.REGTYPE), "leads out of the archive"),
        (("a.txt", b"", tarfile.SYMTYPE), "member 'a.txt' is a link or device"),
        (("a.txt", b"", tarfile.LNKTYPE), "member 'a.txt' is a link or device"),
        (("a.txt", b"", tarfile.CHRTYPE), "member 'a.txt' is a link or device"),
        (("a.txt", b"x" * 1001, tarfile.REGTYPE), "member 'a.txt' has more than 1000 bytes"),
    ],
)
def test_hostile_tars_are_refused(member, message):
    with pytest.raises(InputError) as error:
        read(tar_of(member))
    assert str(error.value).startswith("x.tar: ")
    assert message in str(error.value)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_truncated_tars_are_refused(mode):
    whole = tar_of(("a.txt", bytes(range(256)) * 3, tarfile.REGTYPE), mode=mode)
    with pytest.raises(InputError, match=r"^x\.tar: truncated or no tar archive"):
        read(whole[: 600 if mode == "w" else len(whole) // 2])


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("names", [["a.txt", "b.txt"], ["a.bin", "b.bin"]], ids=["wanted", "unwanted"])
def test_a_tar_is_unpacked_no_further_than_its_total(mode, names):
    archive = tar_of(*((name, bytes(900), tarfile.REGTYPE) for name in names), mode=mode)
    assert len(read(archive, total=20_000)) == (2 if names[0] == "a.txt" else 0)
    with pytest.raises(InputError, match=r"^x\.tar: unpacks to more than 2000 bytes; replace the file$"):
        read(archive, total=2000)


def test_a_header_of_a_tar_counts_too():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("a.txt")
        info.pax_headers = {"comment": "x" * 3_000_000}
        tar.addfile(info, io.BytesIO())
    assert len(buffer.getvalue()) < 3000
    with pytest.raises(InputError, match=r"^x\.tar: unpacks to more than 100000 bytes"):
        read(buffer.getvalue(), total=100_000)


def test_the_wanted_members_of_a_zip_have_a_total(tmp_path):
    path = zip_of(tmp_path / "x.zip", ("a.txt", bytes(900), 0), ("b.bin", bytes(900), 0), ("c.txt", bytes(900), 0))
    assert len(unzip(path, total=1800)) == 2
    with pytest.raises(InputError, match=r"^x\.zip: unpacks to more than 1799 bytes; replace the file$"):
        unzip(path, total=1799)


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
        with pytest.raises(InputError, match=r"^x\.zip: truncated or no zip archive"):
            unzip(path)


@pytest.mark.parametrize(("module", "opener"), [(gzip, gzip.GzipFile), (lzma, lzma.LZMAFile)])
def test_compressed_files(tmp_path, module, opener):
    path = tmp_path / "file"
    whole = module.compress(bytes(1000))
    path.write_bytes(whole)
    assert read_compressed(path, opener) == bytes(1000)
    with pytest.raises(InputError, match="has more than 999 bytes"):
        read_compressed(path, opener, limit=999)
    for broken in (whole[: len(whole) // 2], b"plain"):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"file: truncated or not compressed as its name says"):
            read_compressed(path, opener)
