"""A run that leaves in a folder all it takes to go on: states, the history so far, snapshots of theta."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import jax

from rules_src.config.meta_train import MetaTrain
from rules_src.errors import InputError
from rules_src.meta_train import history
from rules_src.meta_train.held_out import Probe
from rules_src.meta_train.state import newest_state, remove_old_states, save_state, state_path
from rules_src.meta_train.trainer import MetaState, Progress, initial_state, meta_train
from rules_src.storage import remove
from rules_src.tasks.source import Source
from rules_src.update_rules.learned import LearnedRule
from rules_src.update_rules.theta import save_theta

HISTORY = "history.zarr"
SNAPSHOTS = "snapshots"
"""Names within the folder of a run."""


def resumable_run(
    rule: LearnedRule,
    sources: Mapping[str, Source],
    spec: MetaTrain,
    probes: Mapping[str, tuple[Probe, int]],
    *,
    folder: Path,
    record: Mapping[str, str],
) -> Iterator[Progress]:
    """`meta_train`, from the newest state in `folder` on if there is one; the first item is what the run starts from.

    Each item is on the disk before it is yielded: first its history, then its snapshot, last its state, so that a
    state never claims more than is there.

    Args:
        rule: the rule at its initial theta.
        sources: what tasks are made of, by name.
        spec: the run.
        probes: held-out data and its number of classes, by name.
        folder: where the run keeps what it needs to go on.
        record: what the run is of, with the hash of its config as `config`; see `state.versions`.

    Raises:
        InputError: the folder is of another run or cannot be written to; or too many tasks have not been finite.
    """
    like = jax.eval_shape(lambda: initial_state(rule, spec))
    start = newest_state(folder, like, record)
    if start is None:
        remove(folder / HISTORY)
    else:
        history.cut_back(folder / HISTORY, int(start.meta_step))
    for item in meta_train(rule, sources, spec, probes, start=start):
        if item.held_out:
            _keep(item, spec, folder, record)
        yield item


def _keep(item: Progress, spec: MetaTrain, folder: Path, record: Mapping[str, str]) -> None:
    done, dispatch, keep = int(item.state.meta_step), spec.held_out.every, spec.keep
    _stop_if_faulty(item.state, spec, folder, record)
    dispatches, last = -(-done // dispatch), done == spec.meta_steps
    history.append(history.as_dataset(item, spec), folder / HISTORY, dispatch=dispatch)
    if keep.snapshots and (last or dispatches % keep.snapshots == 0):
        path = state_path(folder / SNAPSHOTS, done)
        save_theta(item.state.average, path, spec=spec.rule.model_dump(mode="json"))
    if last or dispatches % keep.every == 0:
        save_state(item.state, state_path(folder, done), record)
        remove_old_states(folder, keep, dispatch)


def _stop_if_faulty(state: MetaState, spec: MetaTrain, folder: Path, record: Mapping[str, str]) -> None:
    share = float(state.dropped)
    if share > spec.faults.share:
        dump = folder / f"faulty-{state_path(folder, int(state.meta_step)).name}"
        save_state(state, dump, record)
        raise InputError(
            f"optimiser.learning_rate: {share:.0%} of the latest tasks were not finite, faults.share allows "
            f"{spec.faults.share:.0%}; give less; the state is in {dump}"
        )
