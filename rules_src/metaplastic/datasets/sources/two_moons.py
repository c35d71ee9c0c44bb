"""Two interleaving half circles in the plane, drawn anew from a seed: data whose structure can be seen."""

import numpy as np
import xarray as xr
from sklearn.datasets import make_moons

from metaplastic.datasets.fetch import Fetch, made_from
from metaplastic.datasets.schema import About, make_dataset
from metaplastic.datasets.spec import TwoMoons
from metaplastic.datasets.splits import stratified_test_mask

ABOUT = About(
    source="two-moons",
    title="Two moons, as scikit-learn draws them",
    licence="no data of anyone's; the generator is BSD-3-Clause",
    citation="Pedregosa et al. (2011), Scikit-learn: Machine Learning in Python, JMLR 12",
)


def prepare(spec: TwoMoons, fetch: Fetch) -> xr.Dataset:
    """Return points in the schema, `feature (2 per_class, 2)`, each coordinate of mean 0 and variance 1; fetch nothing.

    Errors are those of `stratified_test_mask`.
    """
    points, label = make_moons(2 * spec.per_class, noise=spec.noise, random_state=spec.draw_seed)
    scaled = ((points - points.mean(0)) / points.std(0)).astype(np.float32)
    test = stratified_test_mask(label, spec.test_fraction, spec.split_seed)
    origin = made_from("none: drawn from a seed")
    return make_dataset(scaled, label, test, ABOUT, class_names=["upper", "lower"], **origin)
