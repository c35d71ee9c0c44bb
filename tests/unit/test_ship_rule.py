import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import xarray as xr
from safetensors.numpy import load_file

from rules_src.config.rules import Compact
from rules_src.errors import InputError
from rules_src.meta_train.state import state_path
from rules_src.stages.ship_rule import best_of_neighbours, ship
from rules_src.update_rules.compact import build
from rules_src.update_rules.theta import save_theta, trained_rule

RULE = Compact(kind="compact", channels=3, error_channels=2, readout_channels=1)
RUN = {
    "rule": RULE.model_dump(mode="json"),
    "base_models": [{"hidden": [8], "features": 4}],
    "tasks": {
        "side": 5,
        "sources": {"strokes": {"kind": "strokes"}, "drawings": {"kind": "strokes"}, "words": {"kind": "words"}},
    },
    "parallel_tasks": 2,
    "meta_steps": 400,
    "held_out": {"datasets": ["mail"], "kinds": ["words"]},
}
ACCURACY = {
    "strokes": [0.1, 0.2, 0.3, 0.4, 0.9],
    "words": [0.1, 0.6, 0.5, 0.4, 0.1],
    "mail": [0.1, 0.1, 0.4, 0.5, 0.2],
}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A run that measured at five moments and kept a snapshot at all but the first."""
    folder = tmp_path / "state"
    steps = [0, 100, 200, 300, 400]
    xr.Dataset(
        {"held_out_accuracy": (("dataset", "evaluation"), np.array(list(ACCURACY.values())))},
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
    assert f"| snapshot | after {chosen} of 400 meta-steps of 2 tasks x 10 inner steps |" in card
    for name in by:
        assert f"{name} ({ACCURACY[name][chosen // 100]:.1%})" in card
    assert "| meta-trained on | strokes, drawings; 5 x 5 permuted inputs |" in card
    assert "revision abc1234" in card
    assert "cost | an hour" in card


def test_a_measurement_counts_with_those_beside_it() -> None:
    assert best_of_neighbours(np.array([0.1, 0.9, 0.1, 0.6, 0.7, 0.6])) == 4
    assert best_of_neighbours(np.array([0.9, 0.8, 0.1])) == 0


@pytest.mark.parametrize(
    ("by", "remove", "message"),
    [
        (["strokes"], "", "--by: 'strokes' is nothing that the run held out; valid: mail, words"),
        (["words"], "snapshots/step-*", "{state}: holds no snapshots"),
        (["words"], "history.zarr", "{state}: holds no history.zarr; give the folder that a run keeps its states in"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(state: Path, by: list[str], remove: str, message: str) -> None:
    for path in state.glob(remove) if remove else []:
        path.rename(state.parent / path.name)
    with pytest.raises(InputError) as caught:
        shipped(state, by)
    assert str(caught.value) == message.format(state=state)
    assert not (state.parent / "shipped").exists()
