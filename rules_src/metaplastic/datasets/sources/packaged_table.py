"""Tables of measurements that scikit-learn packages: iris, wine and breast cancer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from sklearn.datasets import load_breast_cancer, load_iris, load_wine

from metaplastic.datasets.fetch import Fetch, made_from, package_file, read_raw
from metaplastic.datasets.schema import About, make_dataset
from metaplastic.datasets.spec import PackagedTable
from metaplastic.datasets.splits import standardised, stratified_test_mask

LICENCE = "CC-BY-4.0 (UCI); packaged with scikit-learn, BSD-3-Clause"

TABLES: dict[str, tuple[Callable[[], Any], str, str, str]] = {
    "iris": (
        load_iris,
        "iris.csv",
        "Sepals and petals of three species of iris",
        "Fisher (1936), The use of multiple measurements in taxonomic problems, Annals of Eugenics 7",
    ),
    "wine": (
        load_wine,
        "wine_data.csv",
        "Chemical analysis of wines of three cultivars",
        "Aeberhard and Forina (1991), Wine, UCI, doi:10.24432/C5PC7J",
    ),
    "breast-cancer": (
        load_breast_cancer,
        "breast_cancer.csv",
        "Wisconsin diagnostic breast cancer, cell nuclei",
        "Wolberg et al. (1995), Breast Cancer Wisconsin (Diagnostic), UCI, doi:10.24432/C5DW2B",
    ),
}
"""Function that loads each table, its file in scikit-learn's folder of data, its title and its citation."""


def prepare(spec: PackagedTable, fetch: Fetch) -> xr.Dataset:
    """Return the table in the schema, `feature (example, column)` of mean 0 and variance 1; nothing is fetched.

    Errors are those of `stratified_test_mask`.
    """
    load, file, title, citation = TABLES[spec.table]
    table = load()
    test = stratified_test_mask(table.target, spec.test_fraction, spec.split_seed)
    return make_dataset(
        standardised(table.data, ~test).astype(np.float32),
        table.target,
        test,
        About(spec.source, title, LICENCE, citation),
        columns=list(table.feature_names),
        class_names=[str(name) for name in table.target_names],
        standardised=True,
        **made_from("installed package's file", read_raw(package_file("sklearn", "datasets", "data", file))),
    )
