from importlib import import_module
from inspect import signature
from pathlib import Path

import metaplastic
import pytest
from metaplastic.config.needs import NEEDS
from refusals import refused

from workflow.plan_figures import Declaration, declared, names

PACKAGE = Path(metaplastic.__file__).parent
FIGURE = "INPUTS = {'summary': 'summary'}\nNEEDS = ('rules',)\nCAPTION = 'Bars ' 'are means.'\n"
RESULTS = {
    "summary",
    "meta-training histories",
    "learner histories",
    "learned features of images",
    "learned features",
    "features over training",
    "network features",
    "clusters",
    "datasets",
    "image datasets",
    "training datasets",
}


def written(folder: Path, text: str) -> Path:
    (folder / "figures").mkdir()
    (folder / "figures/bars.py").write_text(text)
    return folder


@pytest.mark.parametrize("figure", names(PACKAGE))
def test_a_figure_declares_what_it_draws_from(figure: str):
    module, found = import_module(f"metaplastic.figures.{figure}"), declared(PACKAGE, figure)
    assert list(found.inputs) == list(signature(module.draw).parameters)
    assert set(found.inputs.values()) <= RESULTS
    assert set(found.needs) <= set(NEEDS)
    assert found.caption == module.CAPTION
    assert found.caption.rstrip().endswith(".")
    assert found.on_request == getattr(module, "ON_REQUEST", False)


def test_some_figures_are_drawn_on_request_alone():
    asked = ["accuracy_and_seconds", "embedding_health", "learning_curves", "principal_components"]
    assert [figure for figure in names(PACKAGE) if declared(PACKAGE, figure).on_request] == asked


def test_a_declaration_is_read_without_running_the_module(tmp_path: Path):
    package = written(tmp_path, f"{FIGURE}raise SystemExit\n")
    (package / "figures/style.py").write_text("")
    assert names(package) == ["bars"]
    assert declared(package, "bars") == Declaration({"summary": "summary"}, ("rules",), False, "Bars are means.")
    assert "ON_REQUEST" not in FIGURE
    (package / "figures/bars.py").write_text(f"ON_REQUEST = True\n{FIGURE}")
    assert declared(package, "bars").on_request


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("INPUTS", "OUTPUTS"),
        ("{'summary': 'summary'}", "{}"),
        ("{'summary': 'summary'}", "dict(summary='summary')"),
        ("{'summary': 'summary'}", "['summary']"),
        ("{'summary': 'summary'}", "{'summary': 1}"),
        ("('rules',)", "1"),
        ("CAPTION", "TITLE"),
        ("NEEDS =", "NEEDS = ="),
    ],
)
def test_a_figure_that_declares_badly_is_named(tmp_path: Path, old: str, new: str):
    package = written(tmp_path, FIGURE.replace(old, new))
    assert "figures/bars.py: declares no INPUTS, NEEDS and CAPTION as literals" in refused(declared, package, "bars")
