"""The judge of changes that are to leave every number as it was."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from metaplastic.io.storage import write_netcdf, write_zarr
from metaplastic.tools.compare_results import compare


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders of the same results, whose jobs took other times."""
    for name in ("before", "after"):
        folder = tmp_path / name
        values = xr.Dataset({"a": ("x", [1.0, np.nan])}, attrs={"of": "letters"})
        write_zarr(values, folder / "features/f.zarr", spec={}, code="c", extra={"seconds": len(name)})
        write_netcdf(values.assign(seconds=float(len(name))), folder / "studies/s.nc")
        (folder / "logs").mkdir()
        (folder / "logs/job.log").write_text(name)
    return tmp_path / "before", tmp_path / "after"


def said(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str], **options: list[str]) -> list[str]:
    compare(*folders, **options)
    return capsys.readouterr().out.splitlines()


def failed(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit) as ended:
        compare(*folders)
    assert ended.value.code == 1
    return capsys.readouterr().out.splitlines()


def test_logs_and_times_are_no_differences(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    assert said(folders, capsys)[-1].endswith("3 equal")


def test_a_changed_value_fails(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    write_netcdf(xr.Dataset({"a": ("x", [1.5, np.nan])}, attrs={"of": "letters"}), folders[1] / "studies/s.nc")
    lines = failed(folders, capsys)
    assert "studies/s.nc: a: 1 of 2 values differ by at most 0.5" in lines
    assert lines[-1].endswith("1 values")


def test_another_type_fails(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    write_netcdf(xr.Dataset({"a": ("x", np.float32([1, 2]))}), folders[1] / "studies/s.nc")
    assert any("float64(2,), then ('x',) float32(2,)" in line for line in failed(folders, capsys))


def test_a_missing_variable_fails(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    write_netcdf(xr.Dataset(attrs={"of": "letters"}), folders[1] / "studies/s.nc")
    assert "studies/s.nc: variable 'a' is only in the first" in failed(folders, capsys)


def test_a_missing_store_fails(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    shutil.rmtree(folders[1] / "features/f.zarr")
    assert f"features/f.zarr: only in {folders[0]}" in failed(folders, capsys)


def test_attributes_and_bytes_are_told_and_do_not_fail(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]):
    write_netcdf(xr.Dataset({"a": ("x", [1.0, np.nan])}, attrs={"of": "digits"}), folders[1] / "studies/s.nc")
    for folder in folders:
        (folder / "table.md").write_text(folder.name)
    lines = said(folders, capsys)
    assert "studies/s.nc: attribute 'of': 'letters', then 'digits'" in lines
    assert "table.md: other bytes" in lines
    assert "studies/s.nc: attribute 'of': 'letters', then 'digits'" not in said(folders, capsys, skip=["of"])
