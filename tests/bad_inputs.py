"""Bad inputs and what is said about each: data that tests try, and of which `make schema` makes docs/bad-input.md.

python tests/bad_inputs.py docs/bad-input.md
"""

import ast
import sys
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from metaplastic.config import checks
from metaplastic.config.load import check_files, load
from metaplastic.datasets.fetch import Fetch
from metaplastic.datasets.spec import File, ImageFolder
from metaplastic.datasets.user import file
from metaplastic.datasets.user import folder as image_folder
from metaplastic.estimator import LearnedRule
from metaplastic.few_shot_classifier import FewShotClassifier
from metaplastic.io.errors import InputError
from metaplastic.stages.prepare_dataset import prepare_dataset
from PIL import Image
from snakemake.utils import update_config

from workflow import folders

ROOT = Path(__file__).parents[1]
FOLDER = "FOLDER"
"""In what is given and said: a folder that is there."""

HEAD = """# Bad input

Every mistake listed here ends with one line (in Python, an exception) and a non-zero exit code, and no file is lost or
half-written. `make schema` generates this page from `tests/bad_inputs.py`, and the tests try every line of it.
"""


class Section(NamedTuple):
    """Cases that are tried alike."""

    title: str
    given: str
    """What the first column holds."""
    refuse: Callable[[str, Path], None]
    """Try one of them; its error is what is said."""
    cases: dict[str, str]
    """What is said about what is given."""


@cache
def _default() -> Any:
    return yaml.safe_load((ROOT / "config/config.yaml").read_text())


def _config(overlay: str, folder: Path) -> Any:
    config = deepcopy(_default())
    update_config(config, yaml.safe_load(overlay.replace(FOLDER, str(folder))))
    return load(config)


def _refuse_config(overlay: str, folder: Path) -> None:
    _config(overlay, folder)


def _refuse_study(overlay: str, folder: Path) -> None:
    config = _config(overlay, folder)
    (folder / "file").touch()
    folders.check_folders(config)
    for study in config.run:
        checks.check_study(config, study)
    checks.check_run(config, "compact-quick")


def _refuse_yaml(text: str, folder: Path) -> None:
    path = folder / "mine.yaml"
    path.write_bytes(ast.literal_eval(f"b{text}"))
    check_files([path])


def _refuse_table(text: str, folder: Path) -> None:
    path = folder / "mine.csv"
    path.write_text(ast.literal_eval(text))
    file.prepare(File(source="file", path=str(path)), Fetch(folder))


def _refuse_images(text: str, folder: Path) -> None:
    for name, content in ast.literal_eval(text).items():
        path = folder / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, tuple):
            Image.new("RGB", content).save(path)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.symlink_to(content)
    image_folder.prepare(ImageFolder(source="folder", path=str(folder / "mine")), Fetch(folder))


def _refuse_asked(text: str, folder: Path) -> None:
    arguments = {"name": "digits", "spec": '{"source": "digits"}', "code": "", "cache": folder}
    prepare_dataset(**arguments, output=folder / "x.zarr", **ast.literal_eval(text))


def _refuse_classifier(text: str, folder: Path) -> None:
    parameters = ast.literal_eval(text)
    images = np.zeros(parameters.pop("images", (10, 16, 16)))
    FewShotClassifier(**parameters).fit(images)


def _refuse_parameters(text: str, folder: Path) -> None:
    rows = np.arange(40.0).reshape(10, 4)
    LearnedRule(**ast.literal_eval(text)).fit(rows)


SECTIONS = [
    Section(
        "Config",
        "laid over `config/config.yaml`",
        _refuse_config,
        {
            "aply: {}": "config: unknown key 'aply'; did you mean 'apply'?",
            "datasets: {mnist-5k: {sidee: 3}}": "config: unknown key 'datasets.mnist-5k.sidee'; did you mean 'side'?",
            "datasets: {mine: {path: mine.csv}}": "config: missing key 'datasets.mine.source'",
            "rules: {mine: {kind: meta-trained}}": "config: missing key 'rules.mine.run'",
            "base_models: {small: {64, 32}}": "config: unknown key 'base_models.small.64'; valid: activation, features, hidden",
            "datasets: {2024: {source: digits}}": "config: datasets.2024: a name has lower-case letters and digits, parted by single hyphens, and is text: write it in quotes",
            "datasets: null": "config: datasets: Input should be a valid dictionary, got None",
            "datasets: {Bad Name: {source: digits}}": "config: datasets.Bad Name: a name has lower-case letters and digits, parted by single hyphens",
            "run: []": "config: run: List should have at least 1 item after validation, not 0, got []",
            "run: [defualt]": "config: run: 'defualt' is not a key of studies; did you mean 'default'?",
            "studies: {default: {datasets: [digit]}}": "config: studies.default.datasets: 'digit' is not a key of datasets; did you mean 'digits'?",
            "studies: {default: {base_models: []}}": "config: studies.default.base_models: rules need networks to train; list at least one",
            "studies: {permuted-inputs: {base_models: [small, 2x64]}}": "config: studies.permuted-inputs.base_models: learners take the features of one network; list one",
            "{partitions: {a: {kind: labels}, b: {kind: labels}}, studies: {permuted-inputs: {partitions: [a, b]}}}": "config: studies.permuted-inputs.partitions: 'a' and 'b' are both of true labels, which a table shows under one name; list one",
            "{partitions: {fast: {kind: random}}, learners: {protonets-fast: {kind: protonets}}, studies: {cactus-letters: {partitions: [clusters, fast], learners: [protonets, protonets-fast]}}}": "config: studies.cactus-letters.learners: 'protonets' on 'fast' and 'protonets-fast' on 'clusters' are both 'protonets-fast' in results; rename one",
            "run: [my_study]": "config: run.0: a name has lower-case letters and digits, parted by single hyphens, got 'my_study'",
            "few_shot: {draws: 2, draws_over_inner_steps: 5}": "config: few_shot: draws_over_inner_steps: 5 are more than the 2 of draws; give fewer",
            "studies: {mine: {datasets: [digits]}}": "config: studies.mine: neither rules nor embeddings; list at least one method",
            "embeddings: {oja: {kind: pca}}": "config: embeddings.oja: the name is taken by rules.oja; rename one of them",
            "rules: {learned: {run: x}}": "config: rules.learned.run: 'x' is not a key of meta_train; valid: compact-quick",
            "rules: {after-12: {meta_step: 60}}": "config: rules.after-12.meta_step: 60 is not a snapshot of 'compact-quick'; the nearest that it keeps is 24",
            "apply: {seeds: many}": "config: apply.seeds: Input should be a valid integer, got 'many'",
            "apply: {inner_steps: [0, 4294967296]}": "config: apply.inner_steps.1: Input should be less than or equal to 2147483647, got 4294967296",
            "apply: {batch: 1000000000000000000000}": "config: apply.batch: Input should be less than or equal to 2147483647, got 1000000000000000000000",
            "apply: {average: .nan}": "config: apply.average: Input should be less than or equal to 0.999999, got nan",
            "apply: {inner_steps: [3, 2]}": "config: apply.inner_steps: has to be a non-empty increasing list, got [3, 2]",
            "few_shot: {draws: '5'}": "config: few_shot.draws: Input should be a valid integer, got '5', which is text; write 5",
            "rules: {oja: {kind: oya}}": "config: rules.oja.kind: unknown 'oya'; did you mean 'oja'?",
            "rules: {oja: {rate: 3e-3}}": "config: rules.oja.rate: Input should be a valid number, got '3e-3', which is text; write 0.003 (YAML takes 1e-3 for text, 1.0e-3 for a number)",
            "rules: {oja: {rate: .inf}}": "config: rules.oja.rate: Input should be a finite number, got inf",
            "meta_train: {compact-quick: {seed: 9223372036854775808}}": "config: meta_train.compact-quick.seed: Input should be less than or equal to 4294967295, got 9223372036854775808",
            "meta_train: {compact-quick: {seed: 4294967295}}": "config: meta_train.compact-quick: seeds: 3 from 4294967295 up exceed the largest seed, 4294967295; give fewer",
            "meta_train: {compact-quick: {meta_steps: 2147483648}}": "config: meta_train.compact-quick.meta_steps: Input should be less than or equal to 2147483647, got 2147483648",
            "meta_train: {compact-quick: {held_out: {datasets: [digits, digits]}}}": "config: meta_train.compact-quick.held_out.datasets: 'digits' is listed twice, got ['digits', 'digits']",
            "meta_train: {compact-quick: {held_out: {kinds: [letters, letters]}}}": "config: meta_train.compact-quick.held_out.kinds: 'letters' is listed twice, got ['letters', 'letters']",
            "meta_train: {compact-quick: {held_out: {kinds: [letters]}}}": "config: meta_train.compact-quick: held_out.kinds: no source is left to train on; list fewer",
            "meta_train: {compact-quick: {held_out: {kinds: [words]}}}": "config: meta_train.compact-quick: held_out.kinds: 'words' is not a key of tasks.sources; valid: letters",
            "meta_train: {compact-quick: {tasks: {sources: {letters: {dataset: digit}}}}}": "config: meta_train.compact-quick.tasks.sources.letters.dataset: 'digit' is not a key of datasets; did you mean 'digits'?",
            "meta_train: {compact-quick: {tasks: {sources: {text: {kind: projections, dataset: movie-sentences}}}}}": "config: meta_train.compact-quick.tasks.sources.text.dataset: 'movie-sentences' has no images",
            "meta_train: {compact-quick: {tasks: {sources: {mnist-5k: {kind: gaussians}}}}}": "config: meta_train.compact-quick: held_out.datasets: 'mnist-5k' is the name of one of tasks.sources too; rename that",
            "meta_train: {compact-quick: {rule: {kind: polynomial}, precision: bfloat16}}": "config: meta_train.compact-quick: precision: a polynomial rule has no update network whose precision to choose",
            "base_models: {small: {hidden: [1000000000]}}": "config: base_models.small: hidden, features: weights between these layers take 246 GiB, more than the 64 GiB allowed; give narrower ones",
            "base_models: {small: {hidden: [1000000, 1000000]}}": "config: base_models.small: hidden, features: weights between these layers take 7,451 GiB, more than the 64 GiB allowed; give narrower ones",
            "embeddings: {vae: {hidden: [0]}}": "config: embeddings.vae.hidden.0: Input should be greater than 0, got 0",
            "datasets: {letters: {side: 10000}}": "config: datasets.letters.side: Input should be less than or equal to 256, got 10000",
            "datasets: {digits: {split_seed: -1}}": "config: datasets.digits.split_seed: Input should be greater than or equal to 0, got -1",
            "datasets: {digits: {test_fraction: 1}}": "config: datasets.digits.test_fraction: Input should be less than 1, got 1",
            "run: [default, default]": "config: run: 'default' is listed twice, got ['default', 'default']",
            "studies: {default: {figures: [few_shot_bars, few_shot_bars]}}": "config: studies.default.figures: 'few_shot_bars' is listed twice, got ['few_shot_bars', 'few_shot_bars']",
            'results: ""': "config: results: has to be the name of a folder, got ''",
            "results: /": "config: results: has to be a folder of its own, not the current one or the root of the file system, got '/'",
            "results: .": "config: results: has to be a folder of its own, not the current one or the root of the file system, got '.'",
            "results: ~/results": "config: results: no folder can begin with '~' here; write it out, got '~/results'",
            "results: 'results/{x}'": "config: results: no folder can have '{' in its name here; choose another, got 'results/{x}'",
            "results: <results>": "config: results: no folder can have '<' in its name here; choose another, got '<results>'",
            'results: "results\\n"': "config: results: has to be the name of a folder, got 'results\\n'",
            'data: {mirror: ""}': "config: data.mirror: has to be the name of a folder, got ''",
            "apply: {average: 0.9999999999}": "config: apply.average: Input should be less than or equal to 0.999999, got 0.9999999999",
            "apply: {seeds: 1000000}": "config: apply.seeds: Input should be less than or equal to 1000, got 1000000",
            "few_shot: {draws: 1000000000}": "config: few_shot.draws: Input should be less than or equal to 10000, got 1000000000",
            "few_shot: {ridge: 0.0}": "config: few_shot.ridge: Input should be greater than 0, got 0.0",
            "embeddings: {isomap: {neighbours: 20, examples: 20}}": "config: embeddings.isomap: examples: 20 have no 20 neighbours; give more",
            "meta_train: {compact-quick: {tasks: {jitter: {scale: 1.0}}}}": "config: meta_train.compact-quick.tasks.jitter.scale: Input should be less than 1, got 1.0",
            "meta_train: {compact-quick: {tasks: {variety: {gamma: 100.0}}}}": "config: meta_train.compact-quick.tasks.variety.gamma: Input should be less than or equal to 10, got 100.0",
            "meta_train: {compact-quick: {rule: {kind: compact, channels: 5000}}}": "config: meta_train.compact-quick.rule.channels: Input should be less than or equal to 4096, got 5000",
            "datasets: {mine: {source: file, path: mine.xlsx}}": "config: datasets.mine.path: has to end in .npz, .csv or .parquet, got 'mine.xlsx'",
            "{studies: {few: {datasets: [letters], embeddings: [pca], partitions: [few], learners: [few]}}, partitions: {few: {kind: k-means, clusters: 10, members: 20}}, learners: {few: {kind: protonets}}}": "config: partitions.few.clusters: 10 are fewer than the 20 ways of learners.few.tasks; give at least that",
            "{studies: {few: {datasets: [letters], embeddings: [pca], partitions: [few], learners: [few]}}, partitions: {few: {kind: hyperplanes, way: 5, members: 20}}, learners: {few: {kind: protonets}}}": "config: partitions.few.way: 5 are fewer than the 20 ways of learners.few.tasks; give at least that",
            "{studies: {few: {datasets: [letters], embeddings: [pca], partitions: [few], learners: [few]}}, partitions: {few: {kind: k-means, members: 5}}, learners: {few: {kind: protonets}}}": "config: partitions.few.members: 5 are too few for the 16 shots and queries of learners.few.tasks; give at least that",
            "{studies: {few: {datasets: [letters], partitions: [labels], learners: [few]}}, partitions: {labels: {members: 16}}, learners: {few: {kind: protonets, rounds: 2}}}": "config: learners.few.rounds: 'labels' of studies.few partitions no features",
            "{studies: {few: {datasets: [faces], embeddings: [pca]}}, datasets: {faces: {source: celeba, path: faces}}}": "config: studies.few.datasets: 'faces' has attributes, no classes; only learners take it",
            "embeddings: {deep: {kind: deep-cluster, clustered_every: 150}}": "config: embeddings.deep: clustered_every: 150 is not a multiple of every, 100",
            "embeddings: {vae: {steps: [4294967296]}}": "config: embeddings.vae.steps.0: Input should be less than or equal to 2147483647, got 4294967296",
            "embeddings: {vae: {steps: [50, 200]}}": "config: embeddings.vae: steps: 50 is not a multiple of every, 100",
            "studies: {run-0000000000000000000000000: {datasets: [digits]}}": "config: studies.run-0000000000000000000000000: a name cannot end with '0' twenty times; choose another",
            "datasets: {mine: {source: file, path: mine.csv, separator: ab}}": "config: datasets.mine.separator: has to be one character, such as ; or a tab, got 'ab'",
            "datasets: {mine: {source: file, path: mine.csv, encoding: utf-9}}": "config: datasets.mine.encoding: no encoding that is known; give one such as latin-1 or utf-16-le, got 'utf-9'",
            "datasets: {mine: {source: file, path: mine.npz, decimal: ','}}": "config: datasets.mine: separator, decimal, encoding: only a CSV has them; drop the keys",
            "datasets: {mine: {source: file, path: mine.csv, layout: channels-first}}": "config: datasets.mine: layout: only a .npz holds images; drop the key",
            "datasets: {mine: {source: file, path: mine.csv, side: 7}}": "config: datasets.mine: side: only a .npz holds images; drop the key",
            "datasets: {mine: {source: file, path: mine.csv, label: b, features: [a, b]}}": "config: datasets.mine: 'b' is used twice among features, label and split",
            "datasets: {mine: {source: file, path: mine.npz, label: x}}": "config: datasets.mine: 'x' is used twice among features, label and split",
            "datasets: {mine: {source: file, path: mine.npz, features: [a, b]}}": "config: datasets.mine: features: a .npz has one array of features, name that one alone",
            "studies: {default: {rules: [oja, oja]}}": "config: studies.default.rules: 'oja' is listed twice, got ['oja', 'oja']",
        },
    ),
    Section(
        "Before any job",
        "laid over `config/config.yaml`",
        _refuse_study,
        {
            "results: FOLDER/file": "results: FOLDER/file: FOLDER/file is not a folder; give another, or move it away",
            "results: FOLDER/file/deep": "results: FOLDER/file/deep: FOLDER/file is not a folder; give another, or move it away",
            "data: {mirror: FOLDER/none}": "data.mirror: FOLDER/none: no such folder; correct or drop the key",
            "{datasets: {mine: {source: folder, path: mine}}, studies: {default: {datasets: [mine]}}}": "studies.default.datasets: no class of 'mine' is in two splits, so only learners take it; list some under learners",
            "{few_shot: {shots: [200]}, studies: {default: {datasets: [digits], few_shot: null}}}": "few_shot.shots: 200 labelled examples a class asked for, but a class of 'digits' has 104 training examples; give at most that",
            "studies: {default: {datasets: [mnist-5k], few_shot: {shots: [301]}}}": "studies.default.few_shot.shots: 301 labelled examples a class asked for, but a class of 'mnist-5k' has 300 training examples; give at most that",
            "rules: {random-init: {kind: published, features: 16}}": "studies.default.base_models: rule 'random-init' demands 16 features, 'small' has 32",
            "meta_train: {compact-quick: {rule: {kind: published, features: 16}, base_models: [{hidden: [], features: 16}]}}": "studies.default.base_models: rule 'learned' demands 16 features, 'small' has 32",
            "datasets: {letters: {side: 12}}": "meta_train.compact-quick.tasks.side: 10 takes images of at least 20 x 20 pixels, 'letters' has 12 x 12",
            "meta_train: {compact-quick: {held_out: {datasets: [digits]}}}": "meta_train.compact-quick.tasks.side: 10 is more than the 8 pixels of 'digits'",
            "meta_train: {compact-quick: {tasks: {classes: 13}}}": "meta_train.compact-quick.tasks.classes: 13 exceeds the 12 classes that 'letters' has for training or holds out",
            "meta_train: {compact-quick: {labelled: 460}}": "meta_train.compact-quick.labelled: 460 and 50 to score are more than the 500 examples of a class of 'mnist-5k', which is watched",
        },
    ),
    Section(
        "Config files",
        "the file, as Python writes bytes",
        _refuse_yaml,
        {
            r'"results: caf\xe9"': "FOLDER/mine.yaml: byte 12 is not UTF-8; save the file as UTF-8",
            r'"few_shot: {draws: 3}\napply: {seeds: 3}\nfew_shot: {ridge: 2.0}"': "FOLDER/mine.yaml: key 'few_shot' is in lines 1 and 3; YAML takes the last alone",
            r'"studies:\n\tmine: {}"': "FOLDER/mine.yaml: no YAML (while scanning for the next token found character '\\t' that cannot start any token in \"<unicode string>\", line 2, column 1: mine: {} ^)",
        },
    ),
    Section(
        "A table of one's own",
        "the `.csv`, as Python writes text",
        _refuse_table,
        {
            r'""': "FOLDER/mine.csv: empty; give a file with examples",
            r'"a,y\n"': "FOLDER/mine.csv: a header, but no rows; give examples",
            r'"a;b,y\n1;2,u\n"': "FOLDER/mine.csv: columns are parted by ',' or by ';'; name one as separator",
            r'"a#y\n1#u\n2#v\n"': "FOLDER/mine.csv: no column 'y'; it holds 'a#y'",
            r'"a\0,\0y\0\n\0"': "FOLDER/mine.csv: holds zero bytes, which no UTF-8 does; save it as UTF-8, or name its encoding, such as latin-1 or utf-16-le",
            r'"a;y\n1,234;u\n2,000;v\n"': "FOLDER/mine.csv: column 'a': not numeric but of type string, as in '1,234' in row 1; write a point or name ',' as decimal, drop it, or list the numeric ones in features",
            r'"a,y\n1,0\n2,1\n3,NaN\n4,?\n"': "FOLDER/mine.csv: column 'y': 2 missing, written '?', 'NaN'; fill them or drop their examples",
            r'"a,b\n1,2\n"': "FOLDER/mine.csv: no column 'y'; it holds 'a', 'b'",
            r'"5.1,3.5,0\n4.9,3.0,1\n"': "FOLDER/mine.csv: the first row holds numbers and no names of columns; write names above it, or in their place if they are names",
            r'"a,a,y\n1,2,u\n"': "FOLDER/mine.csv: 2 columns are named 'a'; rename them",
            r'"a,y\n1,u\n2,v,w\n"': "FOLDER/mine.csv: empty, broken or no CSV file (CSV parse error: Row #3: Expected 2 columns, got 3: 2,v,w); correct it",
            r'"a,y\n1,u\n?,v\n"': "FOLDER/mine.csv: column 'a': 1 values missing or NaN; fill them or drop their examples",
            r'"a,y\n1,u\n,v\n"': "FOLDER/mine.csv: column 'a': 1 values missing or NaN; fill them or drop their examples",
            r'"a,y\n1,u\n2,u\n"': "FOLDER/mine.csv: column 'y': 'u' is the only class; give two or more",
            r'"a,y\n1,u\n2,v\n3,v\n"': "FOLDER/mine.csv: column 'y': class 'u' has too few examples, 1: test_fraction 0.4 leaves none for testing or none for training",
            r'"a,y\n1,1\n2, 1\n3,1\n4, 1\n"': "FOLDER/mine.csv: column 'y': labels ' 1' and '1' are two classes, but read alike; write one of them",
            r'"a,y\n1,1\n2,01\n3,1\n4,01\n"': "FOLDER/mine.csv: column 'y': labels '01' and '1' are two classes, but read alike; write one of them",
            r'"a,y\n1,0.5\n2,1.5\n3,0.5\n4,1.5\n"': "FOLDER/mine.csv: column 'y': '0.5' is a number, but no integer; give integers or text as labels",
            r'"a,y\n1,u\n2,\n"': "FOLDER/mine.csv: column 'y': 1 missing; fill them or drop their examples",
            r'"a,y\n1,\"u\n2,v\n"': "FOLDER/mine.csv: empty, broken or no CSV file (a quotation mark is never closed); correct it",
            r'"a,y\n1,u\n2e200,v\n3,u\n4,v\n"': "FOLDER/mine.csv: column 'a': values too large for float32; scale them down",
            r'"a,y,,\n1,u,2,3\n"': "FOLDER/mine.csv: 2 columns are named ''; rename them",
            r'"a,y\n1.5,u\n\"2,5\",v\n"': "FOLDER/mine.csv: column 'a': not numeric but of type string, as in '2,5' in row 2; write a point or name ',' as decimal, drop it, or list the numeric ones in features",
        },
    ),
    Section(
        "A folder of images",
        "files and their sizes or contents, as Python writes them; one that is text is a link",
        _refuse_images,
        {
            '{"train/a/1.png": (9, 9), "test/b/1.png": b""}': "FOLDER/mine/test/b/1.png: empty; replace or remove it",
            '{"train/a/1.png": (9, 9), "test/b/1.png": b"<html>"}': "FOLDER/mine/test/b/1.png: broken, or no PNG or JPEG; replace or remove it",
            '{"train/a/1.png": (9, 9), "test/b/1.gif": (9, 9)}': "FOLDER/mine/test/b/1.gif: its name is not that of a PNG or JPEG; move it away",
            '{"train/a/1.png": (9, 9), "test/b/1.png": (9, 8)}': "FOLDER/mine/train/a/1.png: 9x9 pixels, FOLDER/mine/test/b/1.png has 9x8; give side, which resizes all",
            '{"train/a/1.png": (9, 9), "test/a/2.png": (9, 9)}': "FOLDER/mine/train/a: a class that is also at FOLDER/mine/test/a; no class may be in two splits",
            '{"train/a/1.png": (9, 9), "test/A/1.png": (9, 9), "test/A /1.png": (9, 9)}': "FOLDER/mine: labels 'A' and 'A ' are two classes, but read alike; write one of them",
            '{"train/a/1.png": (9, 9), "test/b/1.png": "/etc/passwd"}': "FOLDER/mine/test/b/1.png: a link; put what it leads to in its place",
            '{"train/a/1.png": (9, 9), "validation/b/1.png": (9, 9)}': "FOLDER/mine: no folder test; give train, test and perhaps val, each of folders of classes",
            '{"train/1.png": (9, 9), "test/b/1.png": (9, 9)}': "FOLDER/mine/train/1.png: a file; give a folder",
            '{"a/1.png": (9, 9), "b/1.png": (9, 9)}': "FOLDER/mine/a: no split; folders in FOLDER/mine are train, test and perhaps val",
            '{"train/a/1.png": (9, 9), "Test/b/1.png": (9, 9), "test/c/1.png": (9, 9)}': "FOLDER/mine: both Test and test; give one of them",
            '{"train/a/1.png": (9000, 9000), "test/b/1.png": (9, 9)}': "FOLDER/mine/train/a/1.png: 9000x9000 pixels, more than the 67108864 that are read; give a smaller image",
        },
    ),
    Section(
        "What studies ask of a dataset",
        "options of the job that prepares scikit-learn's digits, before anything is trained",
        _refuse_asked,
        {
            '{"shots": 105}': "few_shot.shots: 105 labelled examples a class asked for, but '8' of digits has 104 training examples; give at most that",
            '{"examples": 1079}': "clusters: they take at least 1079 training examples, digits has 1078; give fewer clusters or members",
            '{"episodes": [\'{"ways": [5, 10]}\', \'{"ways": [5, 11]}\']}': "episodes.way: 11 classes asked for, but split test has 10",
            '{"episodes": [\'{"ways": [5], "shots": [1, 66]}\']}': "episodes: 66 shots and 5 queries take 71 examples a class, but class 8 of split test has 70",
            '{"episodes": [\'{"ways": [5], "split": "validation"}\']}': "episodes.way: 5 classes asked for, but split validation has 0",
        },
    ),
    Section(
        "`LearnedRule`",
        "parameters, fitted on ten rows of four numbers",
        _refuse_parameters,
        {
            '{"features": True}': "features == True, must be a number.",
            '{"features": 0}': "features == 0, must be >= 1.",
            '{"features": 2147483648}': "features == 2147483648, must be <= 2147483647.",
            '{"hidden": 64}': "hidden == 64, must be a sequence of widths.",
            '{"hidden": (1000000, 1000000)}': "hidden, features: weights between these layers take 7,451 GiB, more than the 64 GiB allowed; give narrower ones",
            '{"inner_steps": 2147483648}': "inner_steps == 2147483648, must be <= 2147483647.",
            '{"batch": 1000000000000}': "batch == 1000000000000, must be <= 2147483647.",
            '{"average": 1.0}': "average == 1.0, must be < 1.",
            '{"average": 0.9999999999}': "average == 0.9999999999, must be 0 to 0.999999.",
            '{"hidden": "64"}': "hidden must be an instance of int, not str.",
            '{"scale": "no"}': "scale == 'no', must be True or False.",
            '{"activation": "cosine"}': "activation == 'cosine', must be one of relu, leaky_relu, elu, swish, tanh, sigmoid, softplus, sine, step.",
            '{"missing": "median"}': "missing == 'median', must be 'mean' or None.",
            '{"verbose": "no"}': "verbose == 'no', must be True, False or a number from 0 up.",
            '{"random_state": -1}': "Seed must be between 0 and 2**32 - 1",
            '{"rule": "none.safetensors"}': "none.safetensors: missing; meta-train or fetch it first",
        },
    ),
    Section(
        "`FewShotClassifier`",
        "parameters, fitted on black images; ten of 16 x 16 unless there are others",
        _refuse_classifier,
        {
            '{"method": "linear"}': "method == 'linear', must be one of protonets, maml, nearest-neighbours.",
            '{"method": {"kind": "maml", "filter": 3}}': "method: maml.filter: Extra inputs are not permitted.",
            '{"embedding": "pca", "method": "nearest-neighbours"}': "embedding == 'pca', must be one of raw, blurred, acai, bigan, infogan, contrastive for nearest neighbours, which embed later images too.",
            '{"jitter": "much"}': "jitter == 'much', must be True, False or a mapping.",
            '{"steps": 0}': "steps == 0, must be >= 1.",
            '{"clusters": 1}': "clusters == 1, must be >= 2.",
            '{"images": (16, 16)}': "X has the shape (16, 16). Reshape your data to images [image, row, column] or [image, row, column, channel]; one image is X[None].",
            '{"images": (9, 3, 16, 16)}': "X has the shape (9, 3, 16, 16); give the channels last: X.transpose(0, 2, 3, 1).",
            '{"images": (20, 8, 8)}': "images of 8 x 8 pixels: pooling halves them 4 times; give at least 16 x 16",
            '{"images": (9, 16, 20)}': "X has images of 16 x 20 pixels and 1 channel; only square ones are jittered, give jitter=False, and another embedding than 'contrastive', such as 'pca'.",
            '{"images": (40, 16, 16), "clusters": 41}': "clusters: 41 are more than the 40 training examples; give fewer",
            '{"images": (10, 16, 16)}': "X has 10 images, which are too few: tasks of two classes take 12.",
        },
    ),
]


def said(section: Section, given: str, folder: Path) -> str:
    """What is said about a case."""
    try:
        section.refuse(given, folder)
    except (InputError, ValueError, TypeError) as error:
        return str(error).replace(str(folder), FOLDER)
    return "NOTHING IS SAID"


def page() -> str:
    """The page."""
    parts = [HEAD]
    for section in SECTIONS:
        parts.append(f"## {section.title}\n\n| {section.given} | what is said |\n|---|---|")
        rows = [f"| `{_cell(given)}` | {_cell(text).replace('<', '&lt;')} |" for given, text in section.cases.items()]
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts).replace("\n\n\n", "\n\n")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
