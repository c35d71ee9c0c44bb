"""What rules share: the validated config, source fingerprints, the environment of jobs."""

import os
import re
import sys
from itertools import product
from pathlib import Path

from rules_src.config.base import canonical_json
from rules_src.config.rules import Compact, MetaTrained, Pretrained, Published
from rules_src.config.study import load, meta_train_folder
from rules_src.errors import InputError
from rules_src.update_rules.pretrained import pretrained_file
from workflow.fingerprint import FingerprintError, fingerprint

try:
    settings = load(config)
except InputError as error:
    sys.exit(f"error: {error}")

package = Path(workflow.basedir) / "rules_src"
methods = [*settings.study.rules, *settings.study.baselines]
runs = {meta_train_folder(settings, run): run for run in settings.meta_train}

# Stages run with the Python that runs Snakemake, whether or not its environment is activated. Jobs inherit this, on
# other machines too, where Snakemake reads this file again.
path = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
os.environ.update(PATH=os.pathsep.join(path))


def one_of(names):
    """Wildcard constraint that admits exactly these names, so that a mistyped target is an error."""
    return "|".join(map(re.escape, names)) or "(?!)"


def code(stage, *modules):
    """Fingerprint of a stage's source and of the modules of the package that it imports by name."""
    try:
        return fingerprint(
            package,
            f"rules_src.stages.{stage}",
            *(f"rules_src.{module}" for module in modules),
            # What a stage reads of its config is a parameter already, defaults filled in.
            without="rules_src.config",
        )
    except FingerprintError as error:
        sys.exit(f"error: source of stage {stage}: {error}")


def manifests(stores):
    """The manifest beside each store or file."""
    return [f"{store.rsplit('.', 1)[0]}.manifest.json" for store in stores]


def dataset_stores(names):
    return [f"<results>/datasets/{name}.zarr" for name in names]


def run_datasets(folder):
    """Names of the datasets that a meta-training run reads."""
    return settings.meta_train[runs[folder]].datasets


def feature_stores(methods, datasets):
    return [
        f"<results>/features/{base_model}/{method}/{dataset}.zarr"
        for base_model, method, dataset in product(
            settings.study.base_models, methods, datasets
        )
    ]


def run_folders(methods):
    """Folders of the meta-training runs that make the meta-trained rules among `methods`."""
    specs = [settings.rules.get(method) for method in methods]
    names = dict.fromkeys(spec.run for spec in specs if isinstance(spec, MetaTrained))
    return [
        f"<results>/meta_train/{meta_train_folder(settings, name)}" for name in names
    ]


def theta_of_run(method):
    """The theta that a run of this config makes for `method`: one file for a meta-trained rule, none otherwise."""
    return [f"{folder}/theta.safetensors" for folder in run_folders([method])]


def theta_files(method):
    """The theta that `method` needs: one file for a meta-trained or pretrained rule, none otherwise."""
    spec = settings.rules.get(method)
    if not isinstance(spec, Pretrained):
        return theta_of_run(method)
    return pretrained_theta(spec.name, f"rules.{method}.name")


def pretrained_theta(name, key):
    """The file of a theta that comes with the project; `key` of the config names it."""
    try:
        # Relative, so that a checkout may move.
        return [os.path.relpath(pretrained_file(name))]
    except InputError as error:
        sys.exit(f"error: {key}: {error}")


def start_of_run(folder):
    """The theta that a run starts from: one file, or none where it is drawn."""
    run = runs[folder]
    name = settings.meta_train[run].start
    return pretrained_theta(name, f"meta_train.{run}.start") if name else []


def rule_modules(name):
    """Modules of the package that implement the update rule `name`."""
    spec = settings.rules[name]
    if isinstance(spec, MetaTrained):
        spec = settings.meta_train[spec.run].rule
    # Which one a pretrained rule takes stands in its file.
    kinds = [Compact, Published] if isinstance(spec, Pretrained) else [spec]
    return [f"update_rules.{kind.module}" for kind in kinds]


def source_module(name):
    """Module of the package that prepares the dataset `name`."""
    return f"datasets.{settings.datasets[name].source.replace('-', '_')}"


def own_files(name):
    """The file that a dataset of source `file` is read from; none for other sources."""
    spec = settings.datasets[name]
    if spec.source != "file":
        return []
    if not Path(spec.path).is_file():
        what = "is a folder" if Path(spec.path).is_dir() else "no such file"
        sys.exit(f"error: datasets.{name}.path: {spec.path}: {what}")
    return [spec.path]


def raw_folders():
    """Options that say where raw files come from."""
    mirror = ["--mirror", settings.data.mirror] if settings.data.mirror else []
    return ["--cache", settings.data.cache, *mirror]


wildcard_constraints:
    dataset=one_of(settings.datasets),
    base_model=one_of(settings.base_models),
    method=one_of([*settings.rules, *settings.baselines]),
    run=one_of(runs),
