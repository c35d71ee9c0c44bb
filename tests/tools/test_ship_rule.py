import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from metaplastic.datasets.schema import make_dataset
from metaplastic.datasets.sources.letters import ABOUT
from metaplastic.io.storage import write_zarr
from metaplastic.stages.command import named_stores
from metaplastic.tools import ship_rule
from metaplastic.tools.ship_rule import best_of_neighbours, ship, spread
from metaplastic.training.checkpoint import state_path
from metaplastic.update_rules.compact import build
from metaplastic.update_rules.spec import Compact
from metaplastic.update_rules.theta import save_theta, trained_rule
from refusals import refused
from safetensors.numpy import load_file

RULE = Compact(kind="compact", channels=3, error_channels=2, readout_channels=1)
RUN = {
    "rule": RULE.model_dump(mode="json"),
    "base_models": [{"hidden": [8], "features": 4, "side": 4}, {"hidden": [8], "features": 4}],
    "tasks": {
        "side": 5,
        "sources": {"strokes": {"kind": "strokes"}, "drawings": {"kind": "strokes"}, "words": {"kind": "words"}},
    },
    "parallel_tasks": 4,
    "meta_steps": 400,
    "held_out": {"datasets": ["mail"], "kinds": ["words"]},
}
ACCURACY = {"strokes": [0.1, 0.2, 0.3, 0.4, 0.9], "words": [0.1, 0.6, 0.5, 0.4, 0.1], "mail": [0.1, 0.1, 0.4, 0.5, 0.2]}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A run that measured at five moments and kept a snapshot at all but the first."""
    folder = tmp_path / "state"
    steps, accuracy = [0, 100, 200, 300, 400], np.array(list(ACCURACY.values()))
    xr.Dataset(
        {
            "held_out_accuracy": (("dataset", "evaluation"), accuracy),
            "held_out_sem": (("dataset", "evaluation"), 0.01 * accuracy),
            "truncation": ("meta_step", np.full(400, 10.0)),
        },
        coords={"dataset": np.array(list(ACCURACY), dtype=object), "evaluation_step": ("evaluation", steps)},
    ).to_zarr(folder / "history.zarr", consolidated=False)
    for step in steps[1:]:
        rule = build(RULE, jax.random.key(step))
        save_theta(rule, state_path(folder / "snapshots", step), spec=RULE.model_dump(mode="json"))
    return folder


def shipped(state: Path, by: list[str], **keys: Any) -> Path:
    output = state.parent / "shipped"
    arguments = {"spec": json.dumps(RUN), "name": "pen", "revision": "abc1234", "cost": "an hour", **keys}
    ship(state=state, by=by, output=output, **arguments)
    return output


@pytest.mark.parametrize(("by", "chosen"), [(["words"], 100), (["mail"], 300), (["words", "mail"], 200)])
def test_the_snapshot_is_the_best_by_what_was_held_out(state: Path, by: list[str], chosen: int) -> None:
    output = shipped(state, by)
    theta, kept = (load_file(f) for f in (output / "pen.safetensors", state_path(state / "snapshots", chosen)))
    assert theta.keys() == kept.keys()
    for name, array in theta.items():
        np.testing.assert_array_equal(array, kept[name])
    assert trained_rule(output / "pen.safetensors")[0] == RULE
    card = (output / "pen.md").read_text()
    assert f"| snapshot | after {chosen} of 400 meta-steps of 4 tasks x 10 inner steps |" in card
    assert "of 4 x 4\ninputs" in card
    for name in by:
        assert f"{name} ({ACCURACY[name][chosen // 100]:.1%})" in card
    assert "| meta-trained on | strokes, drawings; 4 x 4, 5 x 5 permuted inputs |" in card
    assert "revision abc1234" in card
    assert "cost | an hour" in card


def test_the_card_shows_the_run_and_what_is_measured_after_the_choice(state: Path, monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(3), 70)
    image = np.clip(rng.integers(0, 255, (3, 5, 5))[label] + rng.normal(0, 20, (210, 5, 5)), 0, 255)
    names = ["a", "b", "c"]
    images = make_dataset(image.astype(np.uint8)[..., None], label, np.arange(210) % 3 == 0, ABOUT, class_names=names)
    write_zarr(images.assign_attrs(name="shapes"), state.parent / "shapes.zarr", spec={}, code="")
    monkeypatch.setattr(ship_rule, "ROWS", 2)
    output = shipped(state, ["words"], measure=[f"shapes={state.parent / 'shapes.zarr'}"])
    card, table = (output / "pen.md").read_text(), pd.read_csv(output / "pen.csv")
    names = [name for name in table if not name.endswith(" error")]
    assert names == ["meta-steps", "TFLOP", "strokes", "words", "mail", "shapes"]
    assert table["meta-steps"].tolist() == [100, 400]
    np.testing.assert_allclose(table["TFLOP"][1] / table["TFLOP"][0], 4, rtol=0.2)
    assert table[["words", "words error"]].values.tolist() == [[60.0, 0.6], [10.0, 0.1]]
    assert (table["shapes"] > 60).all()
    assert "docs/images/pen.svg" in card
    assert "On shapes it was measured after the choice." in card


def test_rows_are_spread_over_the_run_and_hold_the_chosen_one() -> None:
    assert spread(3, 1) == [0, 1, 2]
    rows = spread(51, 7)
    assert (rows[0], rows[-1], len(rows)) == (0, 50, 12)
    assert 7 in rows


def test_a_measurement_counts_with_those_beside_it() -> None:
    assert best_of_neighbours(np.array([0.1, 0.9, 0.1, 0.6, 0.7, 0.6])) == 4
    assert best_of_neighbours(np.array([0.9, 0.8, 0.1])) == 0


@pytest.mark.parametrize(
    ("by", "remove", "message"),
    [
        (["strokes"], "", "--by: 'strokes' is nothing that the run held out; valid: words, mail"),
        (["words"], "snapshots/step-*", "{state}: holds no snapshots"),
        (["words"], "history.zarr", "{state}: holds no history.zarr; give the folder that a run keeps its states in"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(state: Path, by: list[str], remove: str, message: str) -> None:
    for path in state.glob(remove) if remove else []:
        path.rename(state.parent / path.name)
    assert refused(shipped, state, by) == message.format(state=state)
    assert not (state.parent / "shipped").exists()


def test_a_store_without_a_name_is_one_line() -> None:
    assert named_stores("--measure", ["a=b/c=d.zarr"]) == {"a": Path("b/c=d.zarr")}
    assert refused(named_stores, "--measure", ["digits.zarr"]) == "--measure: 'digits.zarr' is not NAME=PATH"
    assert refused(named_stores, "--measure", ["a=b.zarr", "a=c.zarr"]) == "--measure: 'a' is given 2 times"
