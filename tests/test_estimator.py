import logging
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd
import pytest
from metaplastic import perceptron
from metaplastic.apply import apply_rule
from metaplastic.estimator import LearnedRule
from metaplastic.io import memory
from metaplastic.io.errors import InputError
from metaplastic.io.jax_settings import compilations_kept
from metaplastic.io.tensors import write_safetensors
from metaplastic.learned_rule import learning, sample
from metaplastic.learned_rule.fitted import FittedRule
from metaplastic.learned_rule.learning import CHUNK
from metaplastic.update_rules import pretrained
from metaplastic.update_rules.spec import Apply, BaseModel, Compact, Published
from metaplastic.update_rules.theta import initial_rule, save_theta, trained_rule
from refusals import refused
from safetensors import safe_open
from scipy.sparse import coo_array, csr_array, csr_matrix
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

ROOT = Path(__file__).parents[1]
SPEC = Compact(kind="compact", channels=2, error_channels=1, readout_channels=1)
SMALL = {"hidden": (4,), "features": 3, "inner_steps": 2, "batch": 4}


@pytest.fixture(scope="module", autouse=True)
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A rule that comes with the project, for this module: its file. It stands in for the default one if that lacks."""
    folder = tmp_path_factory.mktemp("pretrained")
    file = folder / "tiny.safetensors"
    save_theta(initial_rule(SPEC), file, spec=SPEC.model_dump())
    if not any((shipped / f"{pretrained.DEFAULT}.safetensors").is_file() for shipped in pretrained.FOLDERS):
        shutil.copy(file, folder / f"{pretrained.DEFAULT}.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrained, "FOLDERS", (folder, *pretrained.FOLDERS))
        yield file


def _x(rows: int = 40, columns: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(rows, columns)) * np.arange(1, columns + 1) + 3


def _small(**params: Any) -> LearnedRule:
    return LearnedRule(**({"rule": "tiny"} | SMALL | params))


# The polynomial rule on no hidden layer, since each of the many shapes here is compiled.
@parametrize_with_checks([LearnedRule("barb", **(SMALL | {"hidden": ()}))])
def test_scikit_learn_s_own_checks(estimator: LearnedRule, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("seed", [0, 1])
def test_fitted_rows_get_the_features_that_the_workflow_records_for_the_same_seed(tiny: Path, seed: int) -> None:
    X = _x().astype(np.float32)
    recording = apply_rule(
        trained_rule(tiny)[1],
        X,
        train=np.arange(len(X)),
        probe=np.arange(2),
        base_model=BaseModel(hidden=[4], features=3, activation="tanh"),
        spec=Apply(seeds=2, inner_steps=[5], batch=4),
    )[0]
    features = _small(activation="tanh", inner_steps=5, scale=False, random_state=seed).fit_transform(X)
    np.testing.assert_allclose(features, recording.features[seed], atol=1e-4)


def test_features_of_a_row_do_not_depend_on_the_other_rows() -> None:
    X = _x(2 * CHUNK + 7)
    model = _small().fit(X)
    whole = model.transform(X)
    assert whole.shape == (len(X), 3)
    for rows in (slice(0, 1), slice(5, 9), slice(CHUNK - 1, None)):
        np.testing.assert_allclose(model.transform(X[rows]), whole[rows], rtol=1e-5, atol=1e-6)


def test_labels_are_never_looked_at() -> None:
    X = _x()
    np.testing.assert_array_equal(_small().fit(X, X[:, 0] > 3).transform(X), _small().fit(X).transform(X))


def test_the_rule_changes_the_features_and_the_seed_does() -> None:
    X = _x()
    base = _small().fit_transform(X)
    for params in ({"inner_steps": 0}, {"random_state": 1}, {"activation": "tanh"}):
        assert not np.allclose(_small(**params).fit_transform(X), base, atol=1e-3), params
    np.testing.assert_array_equal(_small(random_state=np.int64(0)).fit_transform(X), base)
    assert np.isfinite(_small(random_state=2**32 - 1).fit_transform(X)).all()
    drawn = [_small(random_state=np.random.RandomState(state)).fit_transform(X) for state in (3, 3, 4)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.allclose(drawn[0], drawn[2], atol=1e-3)


def test_scaled_columns_count_the_same_whatever_their_units() -> None:
    X = _x()
    other_units = X * [1000, 0.001, 1, 30, 1] + [1e6, 0, -5, 0, 0]
    np.testing.assert_allclose(_small().fit_transform(X), _small().fit_transform(other_units), atol=1e-3)
    unscaled = (_small(scale=False).fit_transform(values) for values in (X, other_units))
    assert not np.allclose(*unscaled, atol=1e-2)
    X[:, 2] = 7
    assert np.isfinite(_small().fit_transform(X)).all()


def test_equal_shapes_are_compiled_once(caplog: pytest.LogCaptureFixture) -> None:
    def compiled() -> list[str]:
        names = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Compiling")]
        caplog.clear()
        return names

    X = _x()
    model = _small().fit(X)
    model.transform(X)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        clone(model).set_params(random_state=5, inner_steps=3).fit(X + 1).transform(X)
        assert compiled() == []
        # Other numbers of rows, as in folds, take up the compiled inner loop too.
        clone(model).fit(X[:-1]).transform(X[:7])
        assert not [name for name in compiled() if "_advanced" in name]
        clone(model).fit(_x(columns=17))
        assert [name for name in compiled() if "_advanced" in name]


STRICT = {
    "JAX_ENABLE_X64": "1",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_RANDOM_SEED_OFFSET": "5",
    "JAX_THREEFRY_PARTITIONABLE": "0",
    "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_TRANSFER_GUARD": "disallow",
    "JAX_TRANSFER_GUARD_HOST_TO_DEVICE": "disallow_explicit",
    "JAX_DEBUG_NANS": "1",
    "JAX_DEBUG_KEY_REUSE": "1",
    "JAX_EXPLICIT_X64_DTYPES": "allow",
}
"""Settings of JAX that change numbers or forbid what the package does."""
PROGRAM = """
import os, sys, warnings, jax, numpy
from metaplastic.estimator import LearnedRule
X = numpy.random.default_rng(0).random((40, 5))
model = LearnedRule(sys.argv[1], hidden=(4,), features=3, inner_steps=2, batch=4, random_state=3)
numpy.save(sys.argv[2], model.fit_transform(X))
assert jax.config.jax_compilation_cache_dir is None
assert jax.config.jax_persistent_cache_min_compile_time_secs == 1.0
"""
FORKED = """
warnings.simplefilter("ignore")
many = numpy.random.default_rng(0).random((300, 5))
expected = model.transform(many)
if not (child := os.fork()):
    try:
        same = numpy.array_equal(model.transform(many), expected)
        model.fit(X)
    except RuntimeError as error:
        os.write(1, f"{same} {error}".encode())
    os._exit(0)
os.waitpid(child, 0)
"""


class Processes(NamedTuple):
    """Two processes that fit the same one after another, the first under `STRICT`, the second also in one forked."""

    features: list[np.ndarray]
    """Of each."""
    found: list[int]
    """How often each found the inner loop compiled."""
    forked: str
    """Whether the forked process transformed rows to the same, and what `fit` said there."""


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Processes:
    folder = tmp_path_factory.mktemp("processes")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    plain |= {"XDG_CACHE_HOME": str(folder), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "JAX_LOG_COMPILES": "1"}
    features, found = [], []
    for program, environment in ((PROGRAM, plain | STRICT), (PROGRAM + FORKED, plain)):
        command = [sys.executable, "-c", program, str(tiny), str(folder / "features.npy")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        features.append(np.load(folder / "features.npy"))
        found.append(done.stderr.count("Persistent compilation cache hit for 'jit__advanced'"))
    return Processes(features, found, done.stdout)


def test_what_is_compiled_is_kept_for_later_processes_whatever_settings_of_jax_they_have(processes: Processes) -> None:
    assert processes.found == [0, 1]


def test_no_setting_of_jax_outside_changes_a_number(processes: Processes) -> None:
    plain = _small(random_state=3).fit_transform(np.random.default_rng(0).random((40, 5)))
    np.testing.assert_array_equal(processes.features, [plain, plain])


def test_transform_works_in_a_forked_process_and_fit_says_what_to_do(processes: Processes) -> None:
    assert re.match("True .*spawn", processes.forked)


def test_nothing_compiled_is_kept_where_jax_is_told_not_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        with compilations_kept():
            assert jax.config.jax_compilation_cache_dir is None
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
        jax.config.update("jax_compilation_cache_dir", before)
    assert not list(tmp_path.iterdir())


def test_fit_says_what_it_does_where_that_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    _small().fit(_x())
    assert capsys.readouterr().out == ""
    _small(verbose=True).fit(_x())
    compiling, steps = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\[LearnedRule\] compiling the rule for 5 columns \.\.\. \d+\.\d s", compiling)
    assert re.fullmatch(r"\[LearnedRule\] 2 inner steps on batches of 4 of 40 rows \.\.\. \d+\.\d s", steps)


def test_in_a_pipeline_and_a_grid_search() -> None:
    X = _x()
    pipeline = make_pipeline(_small(), LogisticRegression())
    search = GridSearchCV(pipeline, {"learnedrule__inner_steps": [0, 2]}, cv=2, error_score="raise").fit(X, X[:, 0] > 3)
    assert search.best_params_["learnedrule__inner_steps"] in (0, 2)


def test_data_frames_in_and_out() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(_x(), columns=list("abcde"), index=range(100, 140))
    features = _small().set_output(transform="pandas").fit(frame).transform(frame)
    assert list(features.columns) == ["learnedrule0", "learnedrule1", "learnedrule2"]
    assert features.index.equals(frame.index)


def test_strict_settings_of_a_thread_change_nothing_and_are_back_afterwards() -> None:
    X = _x()
    expected = _small().fit_transform(X)
    strict = jax.numpy_rank_promotion("raise"), jax.transfer_guard("disallow"), jax.default_prng_impl("rbg")
    with strict[0], strict[1], strict[2], jax.enable_x64(True):
        np.testing.assert_array_equal(_small().fit_transform(X), expected, strict=True)
        assert jax.config.jax_default_prng_impl == "rbg"
        assert jax.config.jax_numpy_rank_promotion == "raise"


def test_transform_needs_no_jax_and_starts_at_once_after_loading(tmp_path: Path) -> None:
    X = _x()
    model = _small().fit(X)
    model.save(tmp_path / "rule.safetensors")
    np.save(tmp_path / "x.npy", X)
    program = """
import sys, time
sys.modules["jax"] = None
import numpy
import metaplastic
features = metaplastic.FittedRule.load("rule.safetensors").transform(numpy.load("x.npy"))
seconds = time.process_time()
numpy.save("fitted.npy", features)
numpy.save("learned.npy", metaplastic.LearnedRule.load("rule.safetensors").transform(numpy.load("x.npy")))
assert "equinox" not in sys.modules
print(seconds)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("fitted", "learned"):
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), model.transform(X))
    # A third of a second of a processor, the interpreter's start included.
    assert float(done.stdout) < 2


@pytest.mark.parametrize("columns", [None, list("abcde")])
def test_what_is_saved_is_loaded_with_everything(columns: list[str] | None, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    X = _x() if columns is None else pandas.DataFrame(_x(), columns=columns)
    model = _small(random_state=3, missing="mean", hidden=np.array([4])).fit(X)
    file = tmp_path / "rule.safetensors"
    model.save(file)
    first = file.read_bytes()
    loaded = LearnedRule.load(file)
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    assert loaded.get_params() == model.get_params() | {"hidden": [4]}
    for found, expected in zip(loaded.layers_, model.layers_, strict=True):
        for name in ("W", "b", "V"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert loaded.get_feature_names_out().tolist() == model.get_feature_names_out().tolist()
    assert list(getattr(loaded, "feature_names_in_", [])) == (columns or [])
    loaded.save(file)
    assert file.read_bytes() == first
    if columns:
        with pytest.raises(ValueError, match="feature names should match"):
            loaded.transform(X[columns[::-1]])


def _resaved(file: Path, name: str, change: Any) -> None:
    """Write a file anew with a changed array or text; without it if it is changed to nothing."""
    with safe_open(file, framework="numpy") as opened:
        arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        header = {name: value for name, value in opened.metadata().items() if name != "sha256"}
    content: dict[str, Any] = header if name in header else arrays
    content[name] = change(content[name]) if callable(change) else change
    if change is None:
        del content[name]
    write_safetensors(file, arrays, header)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a fitted transformer."""
    file = tmp_path_factory.mktemp("saved") / "rule.safetensors"
    _small(inner_steps=0).fit(_x()).save(file)
    return file


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("format", "other", "its header has no format"),
        ("columns", None, "'columns'"),
        ("parameters", "[]", "list indices"),
        ("columns", '["a"]', "it has not one name for each column"),
        ("columns", "[" * 10**5, "recursion"),
        ("layer_0.b", None, "its arrays are not those of its parameters"),
        ("layer_0.b", np.ones(5, np.float32), "its arrays are not those"),
        ("layer_0.b", np.ones(4), "layer_0.b is not all finite numbers"),
        ("layer_0.b", np.full(4, np.nan, np.float32), "layer_0.b is not all finite numbers of type float32"),
        ("column_range", np.zeros(5), "column_range holds numbers that are too"),
        ("parameters", lambda text: text.replace("relu", "eval"), "the activation 'eval' is unknown"),
        ("parameters", lambda text: text.replace('"batch"', '"bunch"'), "unexpected keyword argument 'bunch'"),
        ("parameters", lambda text: text.replace('"batch": 4', '"batch": 0'), "batch == 0, must be >= 1"),
    ],
)
def test_a_saved_file_of_a_stranger_is_refused_in_one_line(
    name: str, change: Any, message: str, saved: Path, tmp_path: Path
) -> None:
    file = shutil.copy(saved, tmp_path / "rule.safetensors")
    _resaved(file, name, change)
    said = refused(LearnedRule.load, file)
    assert re.search(f"rule.safetensors: not a readable saved transformer .*{message}", said)


def test_a_saved_file_holds_names_of_columns_of_many_bytes(tmp_path: Path) -> None:
    X = pd.DataFrame(_x(), columns=[letter * 2**20 for letter in "abcde"])
    _small(hidden=(4,), inner_steps=0).fit(X).save(tmp_path / "rule.safetensors")
    assert LearnedRule.load(tmp_path / "rule.safetensors").feature_names_in_.tolist() == X.columns.tolist()


def test_a_saved_file_that_has_changed_or_is_missing_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rule.safetensors"
    assert "rule.safetensors: missing; save a fitted LearnedRule" in refused(LearnedRule.load, file)
    with pytest.raises(NotFittedError):
        _small().save(file)
    _small().fit(_x()).save(file)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert "changed since it was written" in refused(LearnedRule.load, file)
    file.write_bytes(content[:100])
    assert "not a readable saved transformer" in refused(LearnedRule.load, file)


def _sparse(rows: int = 60, columns: int = 7) -> np.ndarray:
    X = _x(rows, columns)
    return np.where(np.random.default_rng(1).random(X.shape) < 0.7, 0, X)


# With a shift no number is negative, so that scaling leaves zeros as they are.
@pytest.mark.parametrize(
    ("layout", "shift", "scale"),
    [
        *((csr_array, shift, scale) for shift in (0, 20) for scale in (True, False)),
        *((csr_matrix, shift, True) for shift in (0, 20)),
        (coo_array, 0, True),
    ],
)
def test_sparse_rows_get_the_features_of_dense_ones(layout: Any, shift: int, scale: bool) -> None:
    X = _sparse()
    X[X != 0] += shift
    expected = _small(scale=scale).fit_transform(X)
    model = _small(scale=scale).fit(layout(X))
    for found in (model.transform(layout(X)), model.transform(X)):
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_sparse_rows_whose_zeros_stay_are_never_dense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    X = csr_array(np.abs(_sparse()))
    model = _small().fit(X)
    expected = model.transform(X.toarray())
    monkeypatch.setattr(csr_array, "toarray", lambda *_: pytest.fail("dense"))
    np.testing.assert_allclose(model.transform(X), expected, rtol=1e-5, atol=1e-5)
    monkeypatch.undo()
    model.save(tmp_path / "rule.safetensors")
    fitted = FittedRule.load(tmp_path / "rule.safetensors")
    for other in (X.tocsc(), X.toarray().tolist()):
        np.testing.assert_allclose(fitted.transform(other), expected, rtol=1e-5, atol=1e-5)
    assert fitted.transform(X[:0]).shape == (0, expected.shape[1])


def test_rows_that_do_not_fit_on_the_device_at_once_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    X = _x(1000)
    expected = _small(inner_steps=21).fit(X)
    monkeypatch.setattr(learning, "MOST_ROWS", 30)
    seen: list[int] = []
    scaled = FittedRule.scaled
    monkeypatch.setattr(FittedRule, "scaled", lambda self, X: (seen.append(X.shape[0]), scaled(self, X))[1])
    monkeypatch.setattr(perceptron, "CHUNK", 50)
    found = _small(inner_steps=21).fit(X)
    assert max(seen) <= 256
    for a, b in zip(found.layers_, expected.layers_, strict=True):
        np.testing.assert_array_equal(a.W, b.W)
    np.testing.assert_allclose(found.transform(X), expected.transform(X), atol=1e-5)


def test_batches_give_what_all_rows_at_once_give() -> None:
    X = _x(90)
    expected = _small(missing="mean").fit_transform(X)
    batches = [X[:50], X[50:51], X[51:]]
    model = _small(missing="mean")
    for batch in batches:
        model.partial_fit(batch)
    np.testing.assert_allclose(model.transform(X), expected, atol=1e-5)
    np.testing.assert_allclose(_small(missing="mean").fit_batches(batches).transform(X), expected, atol=1e-5)
    sparse = _small().fit_batches([csr_array(batch) for batch in batches])
    np.testing.assert_allclose(sparse.transform(X), _small().fit_transform(X), atol=1e-5)
    assert refused(_small().fit_batches, [], error=ValueError) == "no batches; give one or more"
    assert "4 features, but LearnedRule is expecting 5" in refused(model.partial_fit, X[:, 1:], error=ValueError)
    # After batches of which one was refused, and after `fit`, batches begin anew.
    again = _small(missing="mean")
    wrong = [X[:30], X[:, 1:]]
    assert "4 features, but LearnedRule is expecting 5" in refused(again.fit_batches, wrong, error=ValueError)
    np.testing.assert_allclose(again.partial_fit(X).transform(X), expected, atol=1e-5)
    model.fit(X[:30]).partial_fit(X)
    np.testing.assert_allclose(model.transform(X), expected, atol=1e-5)


def test_what_fails_changes_nothing() -> None:
    X, more = _x(60), _x(90)[60:]
    model = _small().set_params(rule="typo")
    with pytest.raises(InputError):
        model.fit(X)
    with pytest.raises(NotFittedError):
        model.transform(X)
    model.set_params(rule=_small().rule).partial_fit(X)
    expected = model.transform(X)
    with pytest.raises(InputError):
        model.set_params(rule="typo").partial_fit(more)
    with pytest.raises(InputError):
        model.fit(X[:, 1:])
    np.testing.assert_array_equal(model.transform(X), expected)
    model.set_params(rule=_small().rule).partial_fit(more)
    np.testing.assert_allclose(model.transform(X), _small().fit(_x(90)).transform(X), atol=1e-5)
    with pytest.raises(ValueError, match=r"^missing == 'mean', must be None as for the rows so far.$"):
        model.set_params(missing="mean").partial_fit(more)


def test_of_more_rows_than_are_kept_the_sample_is_uniform_and_the_range_that_of_all(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sample, "NUMBERS", 500)
    monkeypatch.setattr(sample, "LEAST_ROWS", 10)
    X = np.arange(2000.0).reshape(1000, 2)
    kept = []
    for size in (1000, 7):
        drawn = sample.empty_sample(0, 2)
        for first in range(0, 1000, size):
            drawn = drawn.added(X[first : first + size])
        kept.append(drawn.rows)
    np.testing.assert_array_equal(*kept)
    assert len(kept[0]) == 250
    assert abs(kept[0][:, 0].mean() - 999) < 3 * 577 / np.sqrt(250)
    model = _small().fit_batches(X[first : first + 100] for first in range(0, 1000, 100))
    assert model.column_min_.tolist() == [0, 1]
    assert model.column_range_.tolist() == [1998, 1998]


def test_missing_values_are_the_mean_of_their_column_where_that_is_asked_for() -> None:
    X = _x()
    holes = X.copy()
    holes[3:6, 2] = np.nan
    filled = holes.copy()
    filled[3:6, 2] = np.nanmean(holes[:, 2])
    model = _small(missing="mean").fit(holes)
    np.testing.assert_allclose(model.transform(holes), _small().fit_transform(filled), atol=1e-5)
    np.testing.assert_allclose(model.transform(holes), model.transform(filled), atol=1e-5)
    holes[:, 2] = np.nan
    with pytest.raises(ValueError, match=r"^column 2 of X has no value; drop it"):
        _small(missing="mean").fit(holes)
    named = pd.DataFrame(holes, columns=[f"c{index}" for index in range(holes.shape[1])])
    with pytest.raises(ValueError, match=r"^column 'c2' has no value; drop it"):
        _small(missing="mean").fit(named)
    with pytest.raises(ValueError, match="Input X contains infinity"):
        _small(missing="mean").fit(np.where(np.isnan(holes), np.inf, holes))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.nan, "^X contains NaN"),
        (np.inf, "^X contains infinity"),
        (1e300, "^X holds numbers too large for single precision"),
    ],
)
def test_what_is_not_checked_is_named_all_the_same_and_warns_of_nothing(bad: float, message: str) -> None:
    X = _x()
    model = _small().fit(X)
    X[3, 1] = bad
    with config_context(assume_finite=True):
        for call in (model.transform, _small().fit, _small(scale=False).fit):
            if call == model.transform or bad != 1e300 or call.__self__.scale is False:
                with pytest.raises(ValueError, match=message):
                    call(X)


def test_a_curve_is_printed_where_it_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    X = _x()
    expected = _small(inner_steps=20).fit_transform(X)
    found = _small(inner_steps=20, verbose=2).fit_transform(X)
    np.testing.assert_array_equal(found, expected)
    compiling, *curve, steps = capsys.readouterr().out.splitlines()
    assert compiling.startswith("[LearnedRule] compiling the rule for 5 columns ... ")
    assert steps.startswith("[LearnedRule] 20 inner steps on batches of 4 of 40 rows ... ")
    assert [int(line.split()[3].rstrip(":")) for line in curve] == list(range(2, 21, 2))
    assert all(float(line.split()[-1]) > 0 for line in curve)


def test_the_device_is_chosen_by_name() -> None:
    X = _x()
    np.testing.assert_array_equal(_small(device="cpu").fit_transform(X), _small().fit_transform(X))
    assert refused(_small(device="abacus").fit, X, error=ValueError).startswith("device == 'abacus': ")


def test_threads_that_fit_at_once_get_what_each_gets_alone() -> None:
    X = _x()
    expected = [_small(random_state=seed).fit_transform(X) for seed in range(4)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda seed: _small(random_state=seed).fit_transform(X), range(4)))
    np.testing.assert_array_equal(found, expected)


def test_a_pickle_needs_no_theta_file(tmp_path: Path, tiny: Path) -> None:
    file = tmp_path / "elsewhere.safetensors"
    file.write_bytes(tiny.read_bytes())
    model = _small(rule=file).fit(_x())
    text = pickle.dumps(model)
    file.unlink()
    np.testing.assert_array_equal(pickle.loads(text).transform(_x()), model.transform(_x()))  # noqa: S301


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.where(np.eye(6, 3), np.nan, 1.0), ValueError, "Input X contains NaN"),
        (np.where(np.eye(6, 3), np.inf, 1.0), ValueError, "Input X contains infinity"),
        (np.ones((6, 1)), ValueError, r"1 feature\(s\) .* while a minimum of 2 is required"),
        (np.ones((1, 3)), ValueError, r"1 sample\(s\) .* while a minimum of 2 is required"),
        (np.ones(6), ValueError, "Expected 2D array, got 1D array"),
        (np.array([["a", "b"], ["c", "d"]]), ValueError, "could not convert string to float"),
        (np.array([[-1.7e308, 1], [1.7e308, 2]]), ValueError, "too large for single precision"),
    ],
    ids=["nan", "infinity", "one column", "one row", "no table", "text", "huge"],
)
def test_data_that_are_refused(X: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        _small().fit(X)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"hidden": (64, 0)}, ValueError, "^hidden == 0, must be >= 1"),
        ({"features": 2.5}, TypeError, "^features must be an instance of"),
        ({"batch": 0}, ValueError, "^batch == 0, must be >= 1"),
        ({"inner_steps": -1}, ValueError, "^inner_steps == -1, must be >= 0"),
        ({"hidden": (np.True_,)}, TypeError, "^hidden == True, must be a number"),
        ({"inner_steps": False}, TypeError, "^inner_steps == False, must be a number"),
        ({"random_state": True}, TypeError, "^random_state == True, must be a number"),
        ({"average": False}, TypeError, "^average == False, must be a number"),
        ({"average": np.nan}, ValueError, "^average == nan, must be 0 to 0.999999"),
        ({"scale": 1}, TypeError, "^scale == 1, must be True or False"),
        ({"random_state": "x"}, ValueError, "'x' cannot be used to seed"),
        ({"verbose": -1}, TypeError, "^verbose == -1, must be True, False or a number from 0 up"),
        ({"device": 0}, TypeError, "^device == 0, must be the name of a platform, such as 'cpu', or None"),
        ({"rule": None}, TypeError, "^rule == None, must be the name of a rule or the path of a theta file"),
        ({"rule": "tinny"}, InputError, "^no pretrained rule 'tinny' in .*; take one of: .*tiny"),
    ],
)
def test_parameters_that_are_refused(params: dict[str, Any], error: type[Exception], message: str) -> None:
    assert re.search(message, refused(_small(**params).fit, _x(), error=error))


@pytest.mark.parametrize(
    ("params", "sum_"),
    [
        ({"batch": 10**9}, "0.0 for base models and their averages + 44.7 for a batch = 44.7"),
        ({"hidden": (10**9,)}, "126.7 for base models and their averages + 14.9 for a batch = 141.6"),
        ({"hidden": (), "features": 10**9}, "82.0 for base models and their averages + 14.9 for a batch = 96.9"),
    ],
)
def test_what_cannot_fit_is_refused_with_the_sum(monkeypatch: pytest.MonkeyPatch, params: dict[str, Any], sum_: str):
    monkeypatch.setattr(memory, "device_memory", lambda: 2**33)
    message = f"hidden, features, batch: {sum_} GiB at least, but there are 8.0 GiB; give less"
    assert refused(_small(**params).fit, _x()) == message


def test_a_published_rule_demands_its_number_of_features(tmp_path: Path) -> None:
    spec = Published(kind="published", features=5, channels=2, error_channels=2, readout_channels=1)
    file = tmp_path / "published.safetensors"
    save_theta(initial_rule(spec), file, spec=spec.model_dump())
    assert refused(_small(rule=file).fit, _x()) == "features: the rule demands 5, the base model has 3"
    assert _small(rule=file, features=5).fit_transform(_x()).shape == (40, 5)


def test_a_rule_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    file = tmp_path / "absurd.safetensors"
    absurd = jax.tree.map(lambda leaf: leaf + 3e38, initial_rule(SPEC))
    save_theta(absurd, file, spec=SPEC.model_dump())
    with pytest.raises(ValueError, match=r"absurd\.safetensors' left weights that are not finite; scale X, or"):
        _small(rule=file).fit(_x())


def test_a_missing_pretrained_rule_is_one_line_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(pretrained, "FOLDERS", (tmp_path, tmp_path / "none"))
    message = refused(LearnedRule.from_pretrained)
    assert re.match(r"no pretrained rule 'generalist' in .*; meta-train one and give the path", message)


def test_a_file_of_the_installation_comes_before_one_of_the_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    folders = (tmp_path / "first", tmp_path / "second")
    for folder in folders:
        folder.mkdir()
        (folder / "both.safetensors").touch()
    (folders[1] / "other.safetensors").touch()
    monkeypatch.setattr(pretrained, "FOLDERS", folders)
    assert pretrained.pretrained_file("both") == folders[0] / "both.safetensors"
    assert pretrained.pretrained_file("other") == folders[1] / "other.safetensors"


@pytest.mark.parametrize("file", sorted((ROOT / "data/pretrained").glob("*.safetensors")), ids=lambda file: file.stem)
def test_a_rule_that_comes_with_the_project_loads_and_is_described(file: Path, caplog: pytest.LogCaptureFixture):
    trained_rule(file)
    assert not caplog.messages, "it carries a checksum"
    assert file.with_suffix(".md").is_file(), "a card says what the rule was trained on and what it reaches"
