import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import refusals
from metaplastic.datasets.user.npz import listed, read_npz

LIMIT = 100_000


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header(shape: str, kind: str = "<f8") -> bytes:
    """A `.npy` of any header, with eight bytes behind it."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(8)


def zipped(path: Path, *members: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def refused(path: Path) -> str:
    message = refusals.refused(read_npz, path, ["x"], limit=LIMIT)
    assert message.startswith(f"{path}: ")
    return message


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back(tmp_path, save):
    arrays = {
        "x": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "text": np.array(["a", "é", "\U0001f98b"]),
        "nothing": np.empty((0, 3)),
    }
    save(tmp_path / "a.npz", **arrays)
    read = read_npz(tmp_path / "a.npz", list(arrays), limit=LIMIT)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype.newbyteorder("=")


def test_what_is_not_asked_for_is_not_read(tmp_path):
    path = zipped(tmp_path / "a.npz", ("x.npy", npy(np.zeros(3))), ("huge.npy", bytes(10 * LIMIT)), ("note", b"?"))
    assert read_npz(path, ["x"], limit=LIMIT)["x"].tolist() == [0, 0, 0]


def test_pickled_objects_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{}, None], object))
    assert "array 'x': Python objects, which would have to be unpickled" in refused(tmp_path / "a.npz")


@pytest.mark.parametrize("array", [np.array([b"a"]), np.zeros(2, "M8[s]"), np.zeros(2, "i4, f4"), np.zeros(2, complex)])
def test_other_types_are_refused(tmp_path, array):
    np.savez(tmp_path / "a.npz", x=array)
    assert "; give numbers or text" in refused(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header("(1000000000000,)"), "shape (1000000000000,) of float64 does not fit its 8 bytes"),
        (header("(-1, -1)"), "shape (-1, -1) of float64 does not fit its 8 bytes"),
        (header("(2, 0)"), "shape (2, 0) of float64 does not fit its 8 bytes"),
        (header("(1000000000000,)", "<U0"), "values of type <U0; give numbers or text"),
        (header("(1,)", "|O"), "Python objects"),
        (header("(1,)", "nonsense"), "no npy data"),
        (header("open('/etc/passwd')"), "no npy data"),
        (header("(((((((((((((((((((((((((((((("), "no npy data"),
        (header("(1, 2)")[:50], "no npy data"),
        (b"", "no npy data"),
        (header("(1,)", "<U2")[:-8] + b"\xff" * 8, "text that is not Unicode"),
        (header("(1,)", "<U2")[:-8] + b"\x00\xd8\x00\x00" * 2, "text that is not Unicode"),
    ],
)
def test_what_is_no_honest_array_is_refused(tmp_path, content, message):
    assert f"array 'x': {message}" in refused(zipped(tmp_path / "a.npz", ("x.npy", content)))


def test_a_bomb_is_refused_before_it_unpacks(tmp_path):
    path = zipped(tmp_path / "a.npz", ("x.npy", npy(np.zeros(10_000_000))))
    tracemalloc.start()
    try:
        assert f"member 'x.npy' has more than {LIMIT} bytes" in refused(path)
        assert tracemalloc.get_traced_memory()[1] < 10 * LIMIT
    finally:
        tracemalloc.stop()


def test_a_bomb_that_states_a_small_size_takes_no_more(tmp_path):
    content = npy(np.zeros(10_000_000))
    path = zipped(tmp_path / "a.npz", ("x.npy", content))
    whole = path.read_bytes()
    size = len(content).to_bytes(4, "little")
    assert whole.count(size) == 2
    path.write_bytes(whole.replace(size, (1000).to_bytes(4, "little")))
    tracemalloc.start()
    try:
        assert "truncated or no zip archive" in refused(path)
        assert tracemalloc.get_traced_memory()[1] < 10 * LIMIT
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_numpy_never_writes_are_refused(tmp_path, compression):
    path = zipped(tmp_path / "a.npz", ("x.npy", npy(np.zeros(3))), compression=compression)
    assert "'x.npy' is neither stored nor deflated" in refused(path)


def test_an_encrypted_member_is_refused(tmp_path):
    path = zipped(tmp_path / "a.npz", ("x.npy", npy(np.zeros(3))))
    whole = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        whole[whole.index(signature) + flags] |= 1
    path.write_bytes(whole)
    assert "encrypted" in refused(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_array_that_is_there_twice_is_refused(tmp_path):
    content = npy(np.zeros(3))
    assert "array 'x' is there twice" in refused(zipped(tmp_path / "a.npz", ("x.npy", content), ("x.npy", content)))


def test_an_absent_array_is_refused_with_those_that_are_there(tmp_path):
    np.savez(tmp_path / "a.npz", data=np.zeros(3), target=np.zeros(3))
    assert refused(tmp_path / "a.npz").endswith(": no array 'x'; it holds 'data', 'target'")


def test_broken_archives_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=100))
    whole = (tmp_path / "a.npz").read_bytes()
    for broken in (b"", b"text", whole[:-1], whole[: len(whole) // 2], whole[:200] + bytes(50) + whole[250:]):
        (tmp_path / "a.npz").write_bytes(broken)
        assert "truncated or no zip archive" in refused(tmp_path / "a.npz")


def test_many_names_are_cut():
    assert listed([f"c{index}" for index in range(11)]).endswith("'c7' and 3 more")
    assert listed([]) == "none"
