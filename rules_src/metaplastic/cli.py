"""The command `metaplastic`: features of a table by a learned rule, and meta-training without the workflow."""

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import jax
import pyarrow as pa
import yaml
from pyarrow import csv, parquet
from typer import Argument, Option

from metaplastic.config.base import canonical_json
from metaplastic.config.load import check_files, load
from metaplastic.datasets.user.file import check_file, read_numbers
from metaplastic.estimator import LearnedRule
from metaplastic.io.errors import InputError, check_writable
from metaplastic.io.jax_settings import compilations_kept
from metaplastic.io.storage import write_whole
from metaplastic.meta_train.spec import EXECUTION
from metaplastic.stages.command import command_line
from metaplastic.stages.meta_train import train as meta_train
from metaplastic.stages.prepare_dataset import prepare_dataset
from metaplastic.training.checkpoint import state_path
from metaplastic.training.launch import is_launched
from metaplastic.update_rules.pretrained import DEFAULT, pretrained_file

TABLES = (".csv", ".parquet")


def features(
    table: Annotated[Path, Argument(help="Table to read, .csv or .parquet; every column is one of numbers.")],
    output: Annotated[Path, Argument(help="Table to write, .csv or .parquet: a row for each row.")],
    rule: Annotated[str, Option(help="A rule that comes with the package, or a theta file, .safetensors.")] = DEFAULT,
    hidden: Annotated[
        list[int] | None, Option(help="Width of a hidden layer; repeatable.  [default: 64]", min=1)
    ] = None,
    features: Annotated[int, Option(help="Number of features.", min=1)] = 32,
    inner_steps: Annotated[int, Option(help="Batches of rows that the rule learns from.", min=0)] = 200,
    batch: Annotated[int, Option(help="Rows of a batch.", min=1)] = 64,
    seed: Annotated[int, Option(help="Seed of the network and of the order of rows.", min=0)] = 0,
    label: Annotated[list[str] | None, Option(help="Column that is no input and is kept as it is; repeatable.")] = None,
) -> None:
    """Learn from the rows of a table, no label looked at, and write their features."""
    for path in (table, output):
        if path.suffix not in TABLES:
            raise InputError(f"{path}: no {' or '.join(TABLES)}; name one")
    check_file(table)
    if output.is_dir() or output.resolve() == table.resolve():
        raise InputError(f"{output}: {'a folder' if output.is_dir() else 'the table itself'}; name another file")
    check_writable(output.parent, str(output))
    labels = list(dict.fromkeys(label or []))
    if taken := sorted({f"{LearnedRule.__name__.lower()}{index}" for index in range(features)} & set(labels)):
        raise InputError(f"{table}: column {taken[0]!r} is named as a feature is; rename it")
    read = read_numbers(table, [], labels, instead="keep it by --label")
    learner = LearnedRule(
        rule,
        hidden=hidden or [64],
        features=features,
        inner_steps=inner_steps,
        batch=batch,
        random_state=seed,
        verbose=True,
    )
    try:
        found = learner.fit_transform(read.values)
    except (ValueError, TypeError) as error:
        raise InputError(f"{table}: {error}") from error
    columns = {name: pa.array(found[:, index]) for index, name in enumerate(learner.get_feature_names_out())}
    write_table(pa.table(columns | {name: read.others[name] for name in labels}), output)


def write_table(table: pa.Table, path: Path) -> None:
    """Write the table whole, as the path's suffix says.

    Raises:
        InputError: it cannot be written, or a column has values that no CSV holds.
    """

    def write(temporary: Path) -> None:
        if path.suffix == ".csv":
            csv.write_csv(table, temporary, csv.WriteOptions(quoting_style="needed"))
        else:
            parquet.write_table(table, temporary)

    try:
        write_whole(path, write)
    except pa.ArrowException as error:
        raise InputError(f"{path}: cannot be written ({' '.join(str(error).split())}); name a .parquet") from error


def train(
    config: Annotated[Path, Argument(help="YAML file with `datasets` and `meta_train`, as the workflow's configs.")],
    output: Annotated[Path, Option(help="Theta file to write, .safetensors; all else goes to a folder beside it.")],
    run: Annotated[str | None, Option(help="Key of `meta_train`, where it has several.")] = None,
    seed: Annotated[int | None, Option(help="Seed of the run, in place of the config's.")] = None,
) -> None:
    """Meta-train the rule of a config; called again after it was stopped, go on from the last saved state."""
    if output.suffix != ".safetensors":
        raise InputError(f"{output}: no .safetensors; name one")
    check_writable(output.parent, str(output))
    check_files([config])
    given = yaml.safe_load(config.read_text(encoding="utf-8"))
    if not isinstance(given, dict) or not given.get("datasets") or not given.get("meta_train"):
        raise InputError(f"{config}: no `datasets` or no `meta_train`; give both")
    # The workflow's configs have studies too, of which nothing is made here.
    study = {"datasets": list(given["datasets"])[:1], "embeddings": ["raw"]}
    stand_in = {"run": ["none"], "studies": {"none": study}, "embeddings": {"raw": {"kind": "raw"}}}
    settings = load(stand_in | given)
    names = ", ".join(settings.meta_train)
    if run is None and len(settings.meta_train) > 1:
        raise InputError(f"{config}: several runs; take one of them by --run: {names}")
    name = run or names
    if name not in settings.meta_train:
        raise InputError(f"{config}: no run {name!r} in meta_train; take one of: {names}")
    section = settings.meta_train[name]
    spec = section.model_copy(update={"seed": section.seed if seed is None else seed, "seeds": 1})
    folder, code = output.with_suffix(".run"), version("metaplastic")
    mirror = Path(settings.data.mirror) if settings.data.mirror else None
    stores = {dataset: folder / "datasets" / f"{dataset}.zarr" for dataset in spec.datasets}
    # Of several processes the one that starts the others does for them what is done once.
    if not is_launched():
        for dataset, store in stores.items():
            described, cache = canonical_json(settings.datasets[dataset]), Path(settings.data.cache)
            prepare_dataset(dataset, described, code, cache, store, mirror=mirror)
    snapshots = folder / "snapshots"
    with compilations_kept(), jax.default_matmul_precision("highest"):
        meta_train(
            name,
            canonical_json(spec, without=EXECUTION),
            code,
            code,
            snapshots,
            folder / "history.zarr",
            keep=canonical_json(spec.keep),
            dataset=[f"{dataset}={store}" for dataset, store in stores.items()],
            start=pretrained_file(spec.start) if spec.start else None,
            processes=spec.processes,
        )
    if not is_launched():
        theta = state_path(snapshots, spec.meta_steps)
        write_whole(output, lambda temporary: shutil.copyfile(theta, temporary))


def main() -> None:
    """The command."""
    command_line(features, train)
