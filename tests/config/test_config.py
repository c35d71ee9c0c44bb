import ast
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from known import known
from metaplastic.config.base import canonical_json, same_section, short_hash
from metaplastic.config.load import load
from metaplastic.config.schema import MARKER, PAGES_FROM_README, json_schema, reference
from metaplastic.config.study import meta_train_folders
from metaplastic.meta_train.spec import MetaTrain
from metaplastic.update_rules.spec import MetaTrained, Oja
from refusals import refused

from workflow.fingerprint import closure

FOLDER = Path(__file__).parents[2] / "config"


def changed(place: str, value: object) -> dict[str, Any]:
    config = known()
    *above, last = place.split(".")
    node = config
    for key in above:
        node = node.setdefault(key, {})
    node[last] = value
    return config


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("unroll.truncation", 400, ".unroll: truncation <= shortest <= longest has to hold"),
        ("unroll.longest_at_first", 10, ".unroll: shortest <= longest_at_first < longest has to hold"),
        (
            "unroll",
            {"truncations": [4, 6], "objective_every": 4},
            ".unroll: objective_every: 4 does not divide a truncation of 6",
        ),
        ("draw.base_models", 2, ": draw.base_models: 2 does not divide 1 base_models"),
        ("draw.every", 7, ": draw.every: 7 does not divide held_out.every, 50"),
        ("microbatches", 3, ": microbatches: 3 does not divide 8 parallel_tasks of a base model"),
        (
            "base_models",
            [{"hidden": [width], "features": 32} for width in (16, 32, 64)],
            ": parallel_tasks: 8 cannot be shared out over 3 base_models",
        ),
        (
            "tasks.sources",
            {f"a{i}": {"kind": "words"} for i in range(9)},
            ": parallel_tasks: 9 sources with 1 base_models take at least 9",
        ),
        ("rule", {"kind": "published", "features": 16}, ": base_models.features: has to be rule.features, 16"),
        ("keep", {"every": 2, "milestones": 3}, ".keep: milestones: 3 is not a multiple of every, 2"),
    ],
)
def test_numbers_of_a_run_that_do_not_go_together(place: str, value: object, message: str):
    """Beside what `bad_inputs.py` has."""
    config = changed(f"meta_train.compact-letters.{place}", value)
    assert refused(load, config) == f"config: meta_train.compact-letters{message}"


@pytest.mark.parametrize(("text", "plain"), [("1e3", "1000"), ("25e-17", "0.00000000000000025")])
def test_a_number_that_yaml_reads_as_text_is_written_out(text: str, plain: str):
    config = changed("rules.oja.rate", yaml.safe_load(text))
    assert f"got '{text}', which is text; write {plain} (" in refused(load, config)
    assert load(changed("rules.oja.rate", yaml.safe_load(plain)))


@pytest.mark.parametrize("text", ["nan", "inf", "1e1000"])
def test_a_text_that_is_no_number_to_write_out_has_no_advice(text: str):
    assert refused(load, changed("rules.oja.rate", text)).endswith(f"got '{text}'")


def test_several_errors_are_counted():
    config = changed("apply.seeds", 0) | {"few_shot": {"draws": 0}}
    assert refused(load, config).endswith("(and 1 more)")


@pytest.mark.parametrize(("keys", "watched"), [({}, False), ({"side": 7}, True)])
def test_a_file_can_be_watched_if_it_has_to_hold_images(keys: dict[str, int], watched: bool):
    config = changed("datasets.mine", {"source": "file", "path": "a.npz", **keys})
    config["meta_train"]["compact-letters"]["held_out"]["datasets"] = ["mine"]
    if watched:
        assert load(config)
    else:
        assert "held_out.datasets: 'mine' has no images" in refused(load, config)


def test_an_empty_config():
    assert "config: missing key 'run'" in refused(load, {})


def test_equal_sections_have_equal_text_whatever_their_defaults_and_order():
    text = canonical_json(Oja.model_validate({"kind": "oja"}))
    assert text == canonical_json(Oja.model_validate({"rate": 1.0, "kind": "oja"}))
    assert text == canonical_json(Oja.model_validate_json(text))
    assert json.loads(text) == {"kind": "oja", "rate": 1.0}


def test_an_integer_where_a_number_is_due_is_the_same_number():
    one, also_one = (Oja.model_validate({"kind": "oja", "rate": rate}) for rate in (1, 1.0))
    assert short_hash(canonical_json(one)) == short_hash(canonical_json(also_one))


def test_a_section_of_an_earlier_version_is_the_same_if_what_is_new_is_at_its_default():
    section = MetaTrain.model_validate(known()["meta_train"]["compact-letters"])
    now, earlier = canonical_json(section, without=["keep"]), json.loads(canonical_json(section, without=["keep"]))
    del earlier["precision"]
    assert same_section(MetaTrain, json.dumps(earlier), now)
    # A default that has changed since, and a key that is gone.
    assert not same_section(MetaTrain, json.dumps(earlier | {"batch": 17}), now)
    assert not same_section(MetaTrain, json.dumps(earlier | {"gone": 1}), now)


def test_config_holds_data_and_checks_alone():
    """What computes results belongs where fingerprints see it; the workflow's own side may plan."""
    planning = {f"{name}.py" for name in ("base", "study", "schema", "load", "messages", "checks", "needs")}
    # What a section declares about itself, asked before any job.
    declarations = {"widths", "side_of", "batch_of", "_known_suffix", "classes_of", "_mark", "_encoding"}
    package = FOLDER.parent / "rules_src/metaplastic"
    for file in sorted([*package.rglob("spec.py"), *(package / "config").glob("*.py")]):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and file.name not in planning:
                checks = {getattr(getattr(d, "func", d), "id", "") for d in node.decorator_list}
                declares = "property" in checks or node.name in declarations
                assert declares or "model_validator" in checks, f"{file}: {node.name}"


def test_no_stage_reads_what_only_the_workflow_plans_with():
    package = FOLDER.parent / "rules_src/metaplastic"
    for stage in sorted((package / "stages").glob("[a-z]*.py")):
        assert "metaplastic.config.study" not in closure(package, f"metaplastic.stages.{stage.stem}")


@pytest.mark.parametrize(
    ("place", "value", "same"),
    [
        ("meta_train.compact-letters.meta_steps", 401, False),
        ("meta_train.compact-letters.seed", 0, True),
        ("datasets.letters.side", 20, False),
        ("datasets.digits.split_seed", 1, False),
        ("datasets.movie-sentences.vocabulary", 9, True),
        ("data.mirror", "elsewhere", True),
        ("apply.seeds", 3, True),
        ("meta_train.compact-letters.keep", {"newest": 5}, True),
        ("meta_train.compact-letters.batch", 16, True),
        ("meta_train.compact-letters.batch", 17, False),
    ],
)
def test_the_folder_of_a_run_follows_what_the_run_reads(place: str, value: object, same: bool):
    before = next(iter(meta_train_folders(load(known()), "compact-letters")))
    assert re.fullmatch(r"compact-letters-[0-9a-f]{8}/seed-0", before)
    assert (next(iter(meta_train_folders(load(changed(place, value)), "compact-letters"))) == before) == same


def test_each_seed_of_a_run_is_a_run_of_its_own_that_further_ones_leave_alone():
    few, more, later = (
        meta_train_folders(load(changed(f"meta_train.compact-letters.{key}", number)), "compact-letters")
        for key, number in (("seeds", 2), ("seeds", 3), ("seed", 2))
    )
    assert list(few) == list(more)[:2]
    assert next(iter(later)) == list(more)[2]
    assert [(spec.seed, spec.seeds) for spec in more.values()] == [(0, 1), (1, 1), (2, 1)]
    assert all(few[folder] == more[folder] for folder in few)


def test_the_default_study_meta_trains_several_seeds() -> None:
    default = load(yaml.safe_load((FOLDER / "config.yaml").read_text()))
    (run,) = {rule.run for rule in default.rules.values() if isinstance(rule, MetaTrained)}
    assert len(meta_train_folders(default, run)) >= 3


def test_the_schema_file_is_what_the_models_say():
    assert json.loads((FOLDER / "schema.json").read_text()) == json_schema(), "run: make schema"


def test_the_reference_is_what_the_models_say():
    pages = reference()
    _, marker, table = (FOLDER / "README.md").read_text().partition(MARKER)
    assert marker
    assert table.strip() == pages.pop("").strip(), "run: make schema"
    written = {page.stem: page.read_text() for page in (FOLDER / PAGES_FROM_README).glob("*.md")}
    assert written == pages, "run: make schema"


def test_every_section_of_the_reference_is_linked_to():
    pages = reference()
    sections = {
        f"{page}.md#{heading.lower()}"
        for page, text in pages.items()
        for heading in re.findall(r"^## (\w+)$", text, re.MULTILINE)
    }
    links = (
        f"{file or f'{page}.md'}#{anchor}"
        for page, text in pages.items()
        for file, anchor in re.findall(r"\]\(([\w./]*)#(\w+)\)", text)
    )
    # The table at the top links to pages of kinds, each of which is a section of its page.
    of_kinds = ("datasets", "rules", "embeddings", "partitions", "learners")
    kinds = {section for section in sections if section.startswith(of_kinds)}
    assert {link.removeprefix(f"{PAGES_FROM_README}/") for link in links} | kinds == sections


def test_the_default_config_names_the_page_of_each_of_its_sections():
    named = re.findall(r"^(\w+):.*# docs/config/(\w+)\.md$", (FOLDER / "config.yaml").read_text(), re.MULTILINE)
    assert all(key == page for key, page in named)
    assert {key for key, _ in named} == set(yaml.safe_load((FOLDER / "config.yaml").read_text())) & set(reference())


def test_the_schema_agrees_with_the_models():
    jsonschema.validate(known(), json_schema())
    with pytest.raises(jsonschema.ValidationError, match="sidee"):
        jsonschema.validate(changed("datasets.mnist-5k.sidee", 3), json_schema())
