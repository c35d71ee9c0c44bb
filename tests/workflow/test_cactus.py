"""CACTUs as a branch of the workflow: what it plans, what it refuses, and the whole of it at its smallest."""

import re

import numpy as np
import PIL.Image
import pytest
import yaml
from celeba_folder import write_celeba
from checkout import ROOT, Checkout
from metaplastic.config.base import canonical_json
from metaplastic.config.checks import check_learners
from metaplastic.config.load import load
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_netcdf
from refusals import refused

from workflow.plan import Plan
from workflow.plan_figures import figures_of

TINY = {
    "results": "results/tiny",
    "run": ["tiny"],
    "studies": {
        "tiny": {
            "datasets": ["letters"],
            "embeddings": ["raw"],
            "partitions": ["clusters", "labels"],
            "learners": ["protonets", "maml", "linear", "from-scratch"],
            "episodes": {"ways": [2], "shots": [1, 2], "queries": 2, "episodes": 4},
        }
    },
    "datasets": {"letters": {"source": "letters", "side": 16}},
    "embeddings": {"raw": {"kind": "raw"}},
    "partitions": {
        "clusters": {"kind": "k-means", "clusters": 5, "partitions": 2, "members": 3},
        "labels": {"kind": "labels"},
    },
    "learners": {
        "protonets": {"kind": "protonets", "tasks": {"way": 3, "queries": 2}, "steps": [2], "every": 1, "filters": 2},
        "maml": {
            "kind": "maml",
            "tasks": {"way": 3, "queries": 2},
            "task_batch": 2,
            "steps": [2],
            "every": 2,
            "filters": 2,
            "inner_steps": 1,
            "test_inner_steps": 2,
        },
        "linear": {"kind": "linear"},
        "from-scratch": {"kind": "from-scratch", "filters": 2, "steps": 2},
    },
}


def test_what_is_trained_once_serves_every_study_and_bounds_need_no_embedding(checkout: Checkout):
    jobs = checkout.jobs("cactus", "cactus_partitions", "--configfile", "config/cactus.yaml")
    # Three embeddings; ACAI's clusters are those of both studies.
    assert (jobs["embed"], jobs["partition"], jobs["meta_learn"]) == (3, 5, 10)
    assert jobs["evaluate_episodes"] == 2
    bounds = checkout.jobs("cactus_bounds", "--configfile", "config/cactus.yaml")
    once = ("prepare_dataset", "evaluate_episodes", "draw_figure", "cactus_bounds")
    assert bounds == {"partition": 2, "meta_learn": 4} | dict.fromkeys(once, 1)


def test_an_edit_of_how_partitions_are_made_retrains_only_learners_in_rounds(checkout: Checkout):
    config = yaml.safe_load(yaml.safe_dump(TINY))
    config["studies"]["tiny"] |= {"partitions": ["clusters"], "learners": ["protonets", "in-rounds"]}
    config["learners"]["in-rounds"] = {**config["learners"]["protonets"], "rounds": 2}
    overlay = checkout.overlay(yaml.safe_dump(config))

    def codes() -> dict[str, str]:
        """Fingerprints of the code that makes partitions and states of learners."""
        commands = checkout.snakemake("--dry-run", "--printshellcmds", "--configfile", overlay).stdout
        states = re.findall(r"meta_learn --name (\S+) .* --trained-by (\w+)", commands)
        return dict(states + re.findall(r"partition --name (\S+) .* --code (\w+)", commands))

    before = codes()
    assert set(before) == {"clusters", "protonets", "in-rounds"}
    with checkout.edited("rules_src/metaplastic/few_shot/partitioning/k_means.py", append="\nunused = 1\n"):
        after = codes()
    assert {name for name in after if after[name] != before[name]} == {"clusters", "in-rounds"}
    with checkout.edited("rules_src/metaplastic/few_shot/partitioning/hyperplanes.py", append="\nunused = 1\n"):
        assert codes() == before


def test_images_too_small_for_prototypes_are_named_before_any_job():
    config = yaml.safe_load(yaml.safe_dump(TINY))
    config["datasets"]["letters"]["side"] = 14
    expected = "studies.tiny.learners: 'protonets' takes images of at least 16 x 16 pixels, 'letters' has 14 x 14"
    assert refused(check_learners, load(config), "tiny") == expected


def test_images_of_other_channels_than_those_it_was_trained_on_are_named_before_any_job():
    config = yaml.safe_load(yaml.safe_dump(TINY))
    config["datasets"] |= {"mine": {"source": "folder", "path": "mine"}, "any": {"source": "file", "path": "any.npz"}}
    config["datasets"]["any"]["side"] = 28
    config["studies"]["tiny"] |= {"datasets": ["letters", "mine", "any"], "trained_on": "letters"}
    expected = "studies.tiny.trained_on: images of 'letters' and 'mine' differ in their channels, 1 and 3; list"
    assert refused(check_learners, load(config), "tiny").startswith(expected)
    config["studies"]["tiny"]["datasets"].remove("mine")
    check_learners(load(config), "tiny")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("studies.tiny.learners", ["protonet"], "'protonet' is not a key of learners; did you mean 'protonets'?"),
        ("studies.tiny.partitions", [], "studies.tiny.partitions: 'protonets' needs some to be trained on; list one"),
        ("studies.tiny.learners", ["linear"], "studies.tiny.learners: none that is trained on partitions; list one"),
        ("studies.tiny.embeddings", [], "studies.tiny.embeddings: 'clusters' partitions features; list at least one"),
        ("studies.tiny.episodes.ways", [2, 4], "learners.maml.tasks.way: 3 outputs are too few for the 4 ways of"),
        (
            "learners.protonets.tasks.queries",
            9,
            "partitions.clusters.members: 3 are too few for the 10 shots and queries of learners.protonets.tasks",
        ),
        (
            "partitions.clusters",
            {"kind": "labels"},
            "studies.tiny.partitions: 'clusters' and 'labels' are both of true",
        ),
        ("learners.maml.steps", [3], "learners.maml: steps: 3 is not a multiple of every, 2"),
        ("learners.maml.inner_step", 3, "unknown key 'learners.maml.inner_step'; did you mean 'inner_steps'?"),
        ("datasets.letters", {"source": "movie-sentences"}, "'protonets' takes images, dataset 'letters' has none"),
        (
            "datasets.letters",
            {"source": "celeba", "path": "faces"},
            "learners.protonets.tasks.way: 'labels' of 'letters' has 2 classes, 3 are too many",
        ),
        ("datasets.letters", {"source": "imdb"}, "studies.tiny.learners: 'protonets' takes images, dataset 'letters'"),
    ],
)
def test_what_cannot_be_trained_is_one_line_before_any_job(place: str, value: object, message: str):
    config = yaml.safe_load(yaml.safe_dump(TINY))
    *above, last = place.split(".")
    node = config
    for key in above:
        node = node[key]
    node[last] = value
    assert message in refused(load, config)


def test_a_dataset_is_asked_for_what_clusters_and_episodes_take():
    config = load(TINY)
    episodes = canonical_json(config.studies["tiny"].episodes)
    # 75% of 5 clusters of 3 members, rounded up.
    asked = Plan(config, ROOT / "rules_src/metaplastic").dataset_checks("letters")
    assert asked == ["--shots=0", "--examples=12", f"--episodes={episodes}"]
    more = {"deep": {"kind": "deep-cluster", "clusters": 700}}
    study = {**TINY["studies"]["tiny"], "embeddings": ["deep"]}
    deep = load({**TINY, "studies": {"tiny": study}, "embeddings": more})
    assert "--examples=700" in Plan(deep, ROOT / "rules_src/metaplastic").dataset_checks("letters")


def test_attributes_make_tasks_of_two_classes_for_learners_alone():
    faces = {"datasets": {"letters": {"source": "celeba", "path": "faces"}}}
    several = {"tiny": {**TINY["studies"]["tiny"], "episodes": {"ways": [2, 3]}}}
    for studies, message in (
        (several, r"studies\.tiny\.episodes\.ways: attributes of 'letters' make 2 classes; give \[2\]"),
        (
            {"tiny": {"datasets": ["letters"], "embeddings": ["raw"]}},
            r"studies\.tiny\.datasets: 'letters' has attributes, no classes; only learners take it",
        ),
    ):
        with pytest.raises(InputError, match=message):
            load({**TINY, **faces, "studies": studies})


def test_figures_of_training_are_asked_for_and_curves_over_clusters_need_several_numbers():
    study = {**TINY["studies"]["tiny"], "embeddings": ["raw", "code"]}
    embeddings = {**TINY["embeddings"], "code": {"kind": "vae", "steps": [100]}}

    def plan(partitions: dict[str, dict], **keys: object) -> Plan:
        tables = {"embeddings": embeddings, "partitions": {**TINY["partitions"], **partitions}}
        listed = {**study, "partitions": [*study["partitions"], *partitions], **keys}
        return Plan(load({**TINY, **tables, "studies": {"tiny": listed}}), ROOT / "rules_src/metaplastic")

    asked = figures_of(plan({}, figures=["embedding_health", "learning_curves"]), "tiny")
    letters = ["<results>/datasets/letters.zarr"]
    assert asked["embedding_health"] == {"features": ["<results>/features/code/letters.zarr"], "datasets": letters}
    # Two learners by the labels and by clusters of two embeddings.
    assert len(asked["learning_curves"]["histories"]) == len(set(asked["learning_curves"]["histories"])) == 6
    number = {**TINY["partitions"]["clusters"], "partitions": 1}
    two, three = {"one": number}, {"one": number, "four": {**number, "partitions": 4}}
    usual = ["accuracy_on_episodes", "pseudo_classes"]
    assert list(figures_of(plan(two), "tiny")) == usual
    assert list(figures_of(plan(three), "tiny")) == sorted([*usual, "accuracy_over_partitions"])
    apart = {"one": number, "four": {**number, "partitions": 4, "clusters": 6}}
    assert list(figures_of(plan(apart), "tiny")) == usual


@pytest.mark.slow
def test_the_smallest_cactus_runs_and_runs_once(checkout: Checkout):
    tiny = checkout.overlay(yaml.safe_dump(TINY))
    checkout.snakemake("--configfile", tiny)
    folder = checkout.folder / "results/tiny/studies/tiny/evaluations"
    found = {str(path.relative_to(folder)): read_netcdf(path) for path in folder.rglob("*.nc")}
    assert set(found) == {
        "protonets/raw/clusters/letters.nc",
        "protonets/labels/letters.nc",
        "maml/raw/clusters/letters.nc",
        "maml/labels/letters.nc",
        "linear/raw/letters.nc",
        "from-scratch/letters.nc",
    }
    for accuracy in found.values():
        assert dict(accuracy.sizes) == {"way": 1, "shots": 2, "episode": 4}
        assert ((accuracy["accuracy"] >= 0) & (accuracy["accuracy"] <= 1)).all()
        assert np.isin(np.unique(accuracy["accuracy"]) * 4, range(5)).all()
    attributes = found["maml/raw/clusters/letters.nc"].attrs
    assert [attributes[key] for key in ("learner", "partition", "embedding")] == ["maml", "clusters", "raw"]
    study = folder.parent
    summary = read_netcdf(study / "summary.nc")
    learners = summary["learner"].values.tolist()
    assert learners == ["protonets", "oracle-protonets", "maml", "oracle-maml", "linear", "from-scratch"]
    assert summary["accuracy"].notnull().all()
    assert {path.stem for path in study.glob("figures/*.png")} == {"accuracy_on_episodes", "pseudo_classes"}
    assert checkout.jobs("--configfile", tiny) == {}


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """With folders of the documented layouts where `cactus-colour.yaml` looks for them."""
    checkout = Checkout(tmp_path_factory.mktemp("colour"))
    write_celeba(checkout.folder / "data/celeba", images=600, size=(20, 16))
    rng = np.random.default_rng(0)
    for split, classes in (("train", "abcdef"), ("val", "g"), ("test", "hijkl")):
        for name in classes:
            folder = checkout.folder / f"data/mini-imagenet/{split}/{name}"
            folder.mkdir(parents=True)
            for number, pixels in enumerate(rng.integers(0, 256, (60, 18, 16, 3), np.uint8)):
                PIL.Image.fromarray(pixels).save(folder / f"{number}.png")
    return checkout


def test_studies_of_colour_images_are_planned(colour: Checkout):
    for study, counts in {
        "cactus_cifar_10": (2, 2, 4),
        "cactus_mini_imagenet": (2, 2, 4),
        "cactus_mini_imagenet_bounds": (0, 2, 4),
        "cactus_celeba": (2, 2, 4),
    }.items():
        jobs = colour.jobs(study, "--configfile", "config/cactus-colour.yaml")
        assert (jobs.get("embed", 0), jobs["partition"], jobs["meta_learn"]) == counts, study


@pytest.mark.slow
def test_studies_of_mini_imagenet_and_faces_run_on_folders_of_their_layout(colour: Checkout):
    trained = {"steps": [2], "every": 1}
    of_tasks = {**trained, "filters": 2, "tasks": {"queries": 2}}
    adapting = {**of_tasks, "task_batch": 2, "inner_steps": 1, "test_inner_steps": 2}
    studies = {
        name: {"embeddings": ["deep-cluster"], "figures": [], "episodes": {"episodes": 4}}
        for name in ("cactus-mini-imagenet", "cactus-celeba")
    }
    small = {
        "run": list(studies),
        "studies": studies,
        "datasets": {"mini-imagenet": {"side": 16}, "celeba": {"side": 16}},
        "embeddings": {
            "deep-cluster": {**trained, "filters": [2], "width": 8, "features": 4, "clusters": 4, "clustered_every": 1}
        },
        "partitions": {"clusters": {"clusters": 8, "partitions": 1, "members": 3, "accepted": 0.5}},
        "learners": {
            **dict.fromkeys(("protonets", "protonets-two"), of_tasks),
            **dict.fromkeys(("maml", "maml-two"), adapting),
            "mlp": {"hidden": 4, "steps": 2},
            "cluster-matching": {"clusters": 8, "restarts": 1},
        },
    }
    colour.snakemake("--configfile", "config/cactus-colour.yaml", colour.overlay(yaml.safe_dump(small)))
    for name, shots in (("cactus-mini-imagenet", [1, 5, 20, 50]), ("cactus-celeba", [5])):
        summary = read_netcdf(colour.folder / "results/cactus-colour/studies" / name / "summary.nc")
        assert summary["shots"].values.tolist() == shots
        assert summary.sizes["learner"] == 6
        assert summary["accuracy"].notnull().all()
