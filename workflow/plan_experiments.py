"""Which studies repeat the experiments of Metz et al. 2019."""

import ast
from pathlib import Path
from typing import NamedTuple

from metaplastic.config.needs import check_experiment
from metaplastic.io.errors import InputError
from metaplastic.results import spec
from metaplastic.results.spec import EXPERIMENTS, Experiment

from workflow.plan import Plan
from workflow.plan_figures import results_of


class Declared(NamedTuple):
    """What the claims of an experiment declare."""

    figure: str
    """The paper's figure that it is in, by the name of the rule that makes it."""
    needs: tuple[str, ...]
    """What its study must have, by the names in `config.needs`."""


def _declared() -> dict[Experiment, Declared]:
    """Read what claims declare as literals, without importing what judges them, which is slow."""
    found: dict[Experiment, Declared] = {}
    for node in ast.walk(ast.parse(Path(spec.__file__).with_name("claims.py").read_text(encoding="utf-8"))):
        match node:
            case ast.Call(ast.Name("Claim"), [place, name, needs, *_]):
                figure, experiment = f"figure_{ast.literal_eval(place).split()[0]}", ast.literal_eval(name)
                before = found.get(experiment, Declared(figure, ()))
                found[experiment] = Declared(figure, tuple(dict.fromkeys(before.needs + ast.literal_eval(needs))))
    return found


DECLARED = _declared()
FIGURES = {experiment: declared.figure for experiment, declared in DECLARED.items()}


def experiments(plan: Plan) -> dict[Experiment, str]:
    """Return the study that makes each experiment, among those that are run, in the order of the paper.

    Raises:
        InputError: two studies make the same one, or a study lacks what its experiment takes.
    """
    found: dict[Experiment, str] = {}
    for name in plan.config.run:
        experiment = plan.study(name).experiment
        if experiment is None:
            continue
        if experiment in found:
            raise InputError(f"run: {found[experiment]!r} and {name!r} are both {experiment!r}; run one of them")
        check_experiment(plan.config, name, DECLARED[experiment].needs)
        found[experiment] = name
    return {experiment: found[experiment] for experiment in EXPERIMENTS if experiment in found}


def studies_of(plan: Plan, figure: str | None = None) -> list[str]:
    """Return the studies that make the experiments of a figure of the paper, or of all.

    Raises:
        InputError: there is none, or as for `experiments`.
    """
    wanted = [experiment for experiment in EXPERIMENTS if figure in (None, FIGURES[experiment])]
    found = [name for experiment, name in experiments(plan).items() if experiment in wanted]
    if not found:
        what = " or ".join(map(repr, wanted))
        raise InputError(f"{figure or 'comparison'}: none of the studies that are run is experiment {what}")
    return found


def compared_features(plan: Plan) -> list[str]:
    """Return the features stores that the comparison with the paper looks at itself."""
    study = experiments(plan).get("how-it-learns")
    return results_of(plan, study)["learned features"] if study else []
