"""What jobs ask of a cluster grows with the sizes in the config and with the attempt."""

from types import SimpleNamespace

import pytest
from metaplastic.datasets.spec import Cifar10, Mnist, MovieSentences
from metaplastic.meta_train.spec import MetaTrain
from metaplastic.update_rules.spec import Apply, BaseModel, Compact, Identity

from workflow.resources import LEAST, MOST, PROCESS, applying, growing, meta_training

RUN = {
    "rule": {"kind": "compact"},
    "base_models": [{"hidden": [64]}],
    "tasks": {"side": 12},
    "batch": 32,
    "meta_steps": 3000,
}


def test_each_attempt_has_as_much_more():
    asked = growing(lambda wildcards: {"mem_mb": int(wildcards.width), "runtime": 1})["mem_mb"]
    assert [asked(SimpleNamespace(width="7"), attempt) for attempt in (1, 2, 3)] == [7, 14, 21]
    assert growing({"mem_mb": 5, "runtime": 3})["mem_mb"](SimpleNamespace(), 2) == 10


@pytest.mark.parametrize(
    "more",
    [
        {"base_models": [{"hidden": [4096]}]},
        {"batch": 8192},
        {"unroll": {"truncation": 2000, "shortest": 2000, "longest": 2000}},
        {"rule": {"kind": "compact", "channels": 2048}},
        {"parallel_tasks": 800},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_larger_run_asks_for_more(more):
    small, large = (meta_training(MetaTrain.model_validate(RUN | changes)) for changes in ({}, more))
    assert large["mem_mb"] > small["mem_mb"]
    assert large["runtime"] > small["runtime"]


def test_parts_of_the_tasks_save_memory_and_processes_time():
    whole, parts, shared = (
        meta_training(MetaTrain.model_validate(RUN | {"parallel_tasks": 800} | changes))
        for changes in (
            {"meta_steps": 300},
            {"meta_steps": 300, "microbatches": 8},
            {"meta_steps": 300, "processes": 8},
        )
    )
    assert parts["mem_mb"] - PROCESS < (whole["mem_mb"] - PROCESS) / 7
    assert (parts["runtime"], shared["runtime"]) == (whole["runtime"], pytest.approx(whole["runtime"] / 8, abs=1))
    # What takes longer is killed, and goes on.
    assert meta_training(MetaTrain.model_validate(RUN | {"meta_steps": 10**8}))["runtime"] == MOST


def test_the_shipped_rule_s_run_fits_into_what_it_asks_for():
    # 42 minutes of one core for the first 1,900 meta-steps.
    assert 66 <= meta_training(MetaTrain.model_validate(RUN))["runtime"] <= 3 * 66


def test_applying_asks_for_the_network_the_data_and_what_is_recorded():
    compact, network, mnist = Compact(kind="compact"), BaseModel(hidden=[64]), Mnist(source="mnist", side=14)

    def asked(spec=Apply(), model=network, dataset=mnist, thetas=1, rule=compact):  # noqa: B008
        runs = {"run": SimpleNamespace(seeds=thetas)}
        # What tells how many thetas there are belongs to rules of other kinds.
        of_rule = SimpleNamespace(trained_by="run", hidden_channels=rule.hidden_channels)
        tables = {"base_models": {"m": model}, "rules": {"r": of_rule}, "datasets": {"d": dataset}, "meta_train": runs}
        return applying(SimpleNamespace(apply=spec, **tables), "m", "r", "d")

    least = asked()
    assert least["runtime"] == LEAST
    assert asked(rule=Identity(kind="identity")) == least
    wide = asked(model=BaseModel(hidden=[10_000, 10_000]), spec=Apply(seeds=1))
    # W, V, their averages and what an update makes of both.
    assert 3 * 2 * 4 * 10_000**2 / 1e6 < wide["mem_mb"] - least["mem_mb"] < 12_000
    text = MovieSentences(source="movie-sentences", vocabulary=1000)
    coloured = Cifar10(source="cifar-10", side=16)
    assert coloured.inputs == 3 * 16**2
    for more in (asked(spec=Apply(seeds=50)), asked(dataset=text), asked(dataset=coloured), asked(thetas=10)):
        assert more["mem_mb"] > least["mem_mb"]
