"""The command `metaplastic`: features of tables, classes of images, meta-training, and looks at what is there."""

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import pyarrow as pa
from pyarrow import csv, parquet
from typer import Argument, Option

from metaplastic.config.base import LARGEST, LARGEST_SEED, canonical_json, parse_spec
from metaplastic.datasets.spec import Dialect
from metaplastic.datasets.user.file import FILL, Content, Wanted, is_large, read_in_batches, read_numbers
from metaplastic.datasets.user.tables import as_numbers, is_table
from metaplastic.io.errors import InputError, blamed_on, check_output
from metaplastic.io.jax_settings import compilations_kept, fix_numbers, own_numbers
from metaplastic.io.storage import write_whole
from metaplastic.stages.command import command_line
from metaplastic.tools.doctor import doctor
from metaplastic.tools.few_shot import few_shot
from metaplastic.tools.results import results
from metaplastic.tools.rules import rules
from metaplastic.update_rules.pretrained import DEFAULT, pretrained_file

FOUND = "found"
WRITERS = {
    ".csv": partial(csv.CSVWriter, write_options=csv.WriteOptions(quoting_style="needed")),
    ".parquet": parquet.ParquetWriter,
}


def features(
    table: Annotated[
        Path, Argument(help="Table of numbers to read: .csv, .tsv, either of them .gz, .parquet, or - for a pipe.")
    ],
    output: Annotated[Path, Argument(help="Table to write, .csv or .parquet, with one row per row.")],
    rule: Annotated[str, Option(help="Name of a packaged rule, or path of a theta file, .safetensors.")] = DEFAULT,
    hidden: Annotated[
        list[int] | None, Option(help="Width of a hidden layer; repeatable.", show_default="64", min=1, max=LARGEST)
    ] = None,
    features: Annotated[int, Option(help="Number of features.", min=1, max=LARGEST)] = 32,
    inner_steps: Annotated[int, Option(help="Batches of rows that the rule learns from.", min=0, max=LARGEST)] = 200,
    batch: Annotated[int, Option(help="Rows per batch.", min=1, max=LARGEST)] = 64,
    seed: Annotated[int, Option(help="Seed of the network and of the order of rows.", min=0, max=LARGEST_SEED)] = 0,
    label: Annotated[list[str] | None, Option(help="Column to copy and not to learn from; repeatable.")] = None,
    missing: Annotated[
        Literal["mean"] | None, Option(help="What to put in place of missing numbers.", show_default="refuse them")
    ] = None,
    separator: Annotated[str | None, Option(help="Character between columns of a CSV.", show_default=FOUND)] = None,
    decimal: Annotated[
        str | None, Option(help="Decimal mark of a CSV, a point or a comma.", show_default=FOUND)
    ] = None,
    encoding: Annotated[
        str | None, Option(help="Encoding of a CSV.", show_default="UTF-8, or by its first bytes")
    ] = None,
    save: Annotated[Path | None, Option(help="File to save what was learned to, .safetensors, for --load.")] = None,
    load: Annotated[
        Path | None,
        Option(
            help="File of --save: learn nothing, whatever other options say, and take its columns of this table, by "
            "their names."
        ),
    ] = None,
) -> None:
    """Learn from the rows of a table without their labels, and write their features."""
    # Other commands start sooner without it, and without JAX.
    from metaplastic.estimator import LearnedRule

    if not is_table(table):
        raise InputError(f"{table}: no {' or '.join(WRITERS)}; name one")
    if output.exists() and table.exists() and output.samefile(table):
        raise InputError(f"{output}: the table itself; name another file")
    check_output(output, *WRITERS)
    dialect = parse_spec(
        Dialect, json.dumps({"separator": separator, "decimal": decimal, "encoding": encoding}), "options"
    )
    if save:
        check_output(save, ".safetensors")
    sizes = {"hidden": hidden or [64], "features": features, "inner_steps": inner_steps, "batch": batch}
    options = sizes | {"missing": missing, "random_state": seed, "verbose": True}
    learner = LearnedRule.load(load) if load else LearnedRule(rule, **options)
    with blamed_on():
        learner.check_parameters()
    labels, named = list(dict.fromkeys(label or [])), re.compile(f"{LearnedRule.__name__.lower()}(0|[1-9][0-9]{{0,9}})")
    if taken := [name for name in labels if (found := named.fullmatch(name)) and int(found[1]) < learner.features]:
        raise InputError(f"{table}: column {taken[0]!r} is named as a feature is; rename it")
    gaps = learner.missing is not None
    fill = FILL if gaps or load else f"{FILL}, or give --missing mean"
    names = list(getattr(learner, "feature_names_in_", []))
    batches = _batches(table, Wanted(names, labels, gaps, "keep it by --label", fill), dialect)
    # Before learning: not every format holds every value.
    _encode([_copied(next(batches()), labels, output)], output, pa.MockOutputStream())
    with blamed_on(table):
        if not load:
            frames = (pd.DataFrame(content.values, columns=content.columns) for content in batches())
            learner = learner.fit_batches(frames) if is_large(table) else learner.fit(next(frames))
        if save:
            learner.save(save)
        write_tables((_with_features(content, labels, output, learner) for content in batches()), output)


def _batches(table: Path, wanted: Wanted, dialect: Dialect) -> Callable[[], Iterator[Content]]:
    """Return a function that reads the table, row group by row group if it is large, else from memory."""
    if is_large(table):
        return lambda: read_in_batches(table, wanted)
    content = read_numbers(table, wanted, dialect=dialect)
    return lambda: iter([content])


def _copied(content: Content, labels: list[str], output: Path) -> pa.Table:
    # A CSV keeps texts as they are; a Parquet file also says that numbers are.
    untyped = output.suffix.lower() == ".parquet" and not content.typed
    return pa.table(
        {name: as_numbers(column) if untyped else column for name in labels for column in [content.others[name]]}
    )


def _with_features(content: Content, labels: list[str], output: Path, learner: Any) -> pa.Table:
    named = hasattr(learner, "feature_names_in_")
    found = learner.transform(pd.DataFrame(content.values, columns=content.columns) if named else content.values)
    columns = {name: pa.array(found[:, index]) for index, name in enumerate(learner.get_feature_names_out())}
    copied = _copied(content, labels, output)
    return pa.table(columns | {name: copied[name] for name in labels})


def write_tables(tables: Iterable[pa.Table], path: Path) -> None:
    """Write tables of equal columns, one below the other, in the format of the path's suffix.

    Raises:
        InputError: the format cannot hold the values of a column.
    """
    write_whole(path, partial(_encode, tables, path))


def _encode(tables: Iterable[pa.Table], path: Path, sink: Any) -> None:
    remaining = iter(tables)
    first = next(remaining)
    try:
        with WRITERS[path.suffix.lower()](sink, first.schema) as writer:
            for table in chain([first], remaining):
                writer.write_table(table)
    except pa.ArrowException as error:
        raise InputError(f"{path}: cannot be written ({' '.join(str(error).split())}); name a .parquet") from error


def train(
    config: Annotated[Path, Argument(help="YAML file with the sections `datasets` and `meta_train` of the workflow.")],
    output: Annotated[Path, Option(help="Theta file to write, .safetensors; other files go to a folder beside it.")],
    run: Annotated[str | None, Option(help="Key of `meta_train`, if it has several.")] = None,
    seed: Annotated[
        int | None, Option(help="Seed of the run, instead of the config's.", min=0, max=LARGEST_SEED)
    ] = None,
) -> None:
    """Meta-train the rule of a config; if a run was stopped, continue from its last saved state."""
    # Features of a table need none of the packages of the extra `workflow`, which these do.
    import yaml

    from metaplastic.config.load import check_files, load_runs
    from metaplastic.meta_train.spec import EXECUTION
    from metaplastic.stages.meta_train import train as meta_train
    from metaplastic.stages.prepare_dataset import prepare_dataset
    from metaplastic.training.checkpoint import state_path
    from metaplastic.training.launch import is_launched

    check_output(output, ".safetensors")
    if config.exists() and not (config.is_file() or config.is_dir()):
        raise InputError(f"{config}: a pipe or device; give a file, which can be read twice")
    check_files([config])
    given = yaml.safe_load(config.read_text(encoding="utf-8"))
    if not isinstance(given, dict) or not given.get("datasets") or not given.get("meta_train"):
        raise InputError(f"{config}: no `datasets` or no `meta_train`; give both")
    settings = load_runs(given)
    names = ", ".join(settings.meta_train)
    if run is None and len(settings.meta_train) > 1:
        raise InputError(f"{config}: several runs; take one of them by --run: {names}")
    name = run or names
    if name not in settings.meta_train:
        raise InputError(f"{config}: no run {name!r} in meta_train; take one of: {names}")
    section, folder, code = settings.meta_train[name], output.with_suffix(".run"), version("metaplastic")
    spec = section.model_copy(update={"seed": section.seed if seed is None else seed, "seeds": 1})
    stores = {dataset: folder / "datasets" / f"{dataset}.zarr" for dataset in spec.datasets}
    # Only the process that launches the others prepares datasets and copies the theta.
    if not is_launched():
        cache, mirror = settings.data.cache, settings.data.mirror
        for dataset, store in stores.items():
            described = canonical_json(settings.datasets[dataset])
            prepare_dataset(dataset, described, code, Path(cache), store, mirror=Path(mirror) if mirror else None)
    snapshots = folder / "snapshots"
    with compilations_kept(), own_numbers():
        meta_train(
            name=name,
            spec=canonical_json(spec, without=EXECUTION),
            code=code,
            trained_by=code,
            history=folder / "history.zarr",
            snapshots=snapshots,
            keep=canonical_json(spec.keep),
            dataset=[f"{dataset}={store}" for dataset, store in stores.items()],
            start=pretrained_file(spec.start) if spec.start else None,
            processes=spec.processes,
        )
    if not is_launched():
        theta = state_path(snapshots, spec.meta_steps)
        write_whole(output, lambda temporary: shutil.copyfile(theta, temporary))


def main() -> None:
    """Run the command."""
    fix_numbers()
    command_line(features, few_shot, train, rules, results, doctor, version=version("metaplastic"))
