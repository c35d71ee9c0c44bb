"""The commands `metaplastic rules`, `results` and `doctor`."""

import json
import re
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from metaplastic import cli
from metaplastic.io.storage import read_netcdf, write_netcdf
from metaplastic.results.names import named
from metaplastic.results.scores import summarise
from metaplastic.results.tables import markdown_table
from metaplastic.tools.doctor import compared, examined
from metaplastic.tools.results import results
from metaplastic.update_rules.pretrained import DEFAULT, pretrained_files
from packaging.version import Version
from refusals import refused
from toy_scores import evaluation

ROOT = Path(__file__).parents[2]


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *command: str) -> str:
    monkeypatch.setattr("sys.argv", ["metaplastic", *command])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code, ended.value.code
    return capsys.readouterr().out


def test_rules_has_a_line_for_each(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = said(capsys, monkeypatch, "rules").splitlines()
    names = list(pretrained_files())
    assert [line.split()[0] for line in lines] == names
    assert [name for name, line in zip(names, lines, strict=True) if "the default" in line] == [DEFAULT]
    assert all(line.endswith(".") for line in lines)
    listed = json.loads(said(capsys, monkeypatch, "rules", "--json"))
    assert [rule["name"] for rule in listed] == names
    assert {rule["name"]: rule["numbers"] for rule in listed}["barb"] == 28
    assert all(Path(rule["file"]).is_file() for rule in listed)


@pytest.fixture
def summary(tmp_path: Path) -> Path:
    scores = [evaluation("mine", "mnist", 0.7, kind="oja"), evaluation("none", "mnist", 0.4, kind="identity")]
    write_netcdf(summarise(scores), tmp_path / "summary.nc")
    return tmp_path / "summary.nc"


def test_results_are_the_tables_of_the_study(
    summary: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    of_study = read_netcdf(summary)
    assert said(capsys, monkeypatch, "results", str(summary)) == markdown_table(named(of_study))
    records = json.loads(said(capsys, monkeypatch, "results", str(summary), "--json"))
    assert len(records) == of_study["accuracy"].size
    for record in records:
        place = {name: record[name] for name in of_study["accuracy"].dims}
        assert record["accuracy"] == pytest.approx(float(of_study["accuracy"].sel(place)))
        assert record["accuracy_low"] <= record["accuracy"] <= record["accuracy_high"]


@pytest.mark.parametrize("file", sorted((ROOT / "results/published").glob("*.nc")), ids=lambda file: file.stem)
def test_published_results_have_tables(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results(file)
    assert re.search(r"\| \**\d+\.\d ± \d+\.\d", capsys.readouterr().out)
    results(file, json_=True)
    records = json.loads(capsys.readouterr().out)
    measured = int(np.isfinite(read_netcdf(file)["accuracy"]).sum())
    assert len(records) == measured > 0


def test_a_file_without_results_is_told_in_one_line(tmp_path: Path) -> None:
    write_netcdf(xr.Dataset({"other": ("x", [1.0])}), tmp_path / "other.nc")
    assert "other.nc: holds no accuracies of a study; give the summary.nc of a study" in refused(
        results, tmp_path / "other.nc"
    )
    (tmp_path / "text.nc").write_text("no netCDF")
    assert "text.nc: missing, damaged or no netCDF file of metaplastic; give the" in refused(
        results, tmp_path / "text.nc"
    )
    # It has accuracies, but of terms left out.
    assert "holds no accuracies of a study" in refused(results, ROOT / "data/pretrained/generalist-terms.nc")


def test_doctor_tells_what_a_report_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told = json.loads(said(capsys, monkeypatch, "doctor", "--json"))
    assert told["cache"] == str(tmp_path / "metaplastic/jax")
    assert not list(tmp_path.iterdir())
    assert told["devices"]
    assert {one.split()[0] for one in told["packages"]} >= {"jax", "numpy"}
    lines = said(capsys, monkeypatch, "doctor").splitlines()
    assert [line.split()[0] for line in lines] == list(told)


def test_doctor_names_packages_that_the_core_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metaplastic.tools.doctor.SHOWN", ("numpy", "no-such-package"))
    assert examined()["packages"] == [f"numpy {np.__version__}", "no-such-package is missing"]


def test_the_version_is_an_option(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(capsys, monkeypatch, "--version") == f"{version('metaplastic')}\n"


def test_defaults_that_are_no_values_are_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")
    told = said(capsys, monkeypatch, "features", "--help")
    for default in ("64", "found", "refuse them", "UTF-8, or by its first bytes"):
        assert f"[default: ({default})]" in told


def test_packages_are_compared_with_those_of_the_lock(tmp_path: Path) -> None:
    lock, numpy = tmp_path / "requirements.lock", Version(np.__version__)
    assert compared(lock) == "none here; it comes with a checkout"
    elsewhere = "nowhere==1.0 ; sys_platform == 'nowhere' \\\n"
    lock.write_text(f"numpy=={numpy} \\\n    --hash=sha256:00\n{elsewhere}")
    assert compared(lock) == f"all 1 packages are as in {lock}"
    lock.write_text(f"numpy==0.1 \\\n    --hash=sha256:00\nno-such-package==1.0\n{elsewhere}")
    assert compared(lock) == [f"numpy is {numpy}, ==0.1 is locked", "no-such-package is missing, ==1.0 is locked"]
