"""Which studies repeat the experiments of Metz et al. 2019."""

from metaplastic.config.needs import check_experiment
from metaplastic.io.errors import InputError
from metaplastic.results.spec import EXPERIMENTS, Experiment

from workflow.plan import Plan
from workflow.plan_figures import results_of


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
        check_experiment(plan.config, name, EXPERIMENTS[experiment].needs)
        found[experiment] = name
    return {experiment: found[experiment] for experiment in EXPERIMENTS if experiment in found}


def studies_of(plan: Plan, figure: str | None = None) -> list[str]:
    """Return the studies that make the experiments of a figure of the paper, or of all.

    Raises:
        InputError: there is none, or as for `experiments`.
    """
    wanted = [experiment for experiment, declared in EXPERIMENTS.items() if figure in (None, declared.figure)]
    found = [name for experiment, name in experiments(plan).items() if experiment in wanted]
    if not found:
        what = " or ".join(map(repr, wanted))
        raise InputError(f"{figure or 'comparison'}: none of the studies that are run is experiment {what}")
    return found


def compared_features(plan: Plan) -> list[str]:
    """Return the features stores that the comparison with the paper looks at itself."""
    study = experiments(plan).get("how-it-learns")
    return results_of(plan, study)["learned features"] if study else []
