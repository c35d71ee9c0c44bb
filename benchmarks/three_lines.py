"""What `FewShotClassifier` makes of images that nothing was tuned on, beside logistic regressions on the same labels.

`python -m benchmarks.three_lines STORE... > results/published/three_lines.csv` takes datasets that the workflow has
prepared. Images of the training split are learned from without labels; of each class of the test split some are
labelled and the others asked about.
"""

import csv
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from jaxtyping import Int, UInt8
from metaplastic import FewShotClassifier
from metaplastic.few_shot import labelling
from metaplastic.io.storage import read_zarr
from metaplastic.results.intervals import normal_interval
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SMALLEST = 16
"""Height and width that learners need; smaller images are enlarged by repeating pixels."""
JITTER = {"rotation": 10, "scale": 0.15, "shift": 0.1, "shear": 0.15}

Images = UInt8[np.ndarray, "image row column channel"]
Labels = Int[np.ndarray, " image"]
Score = Callable[[np.ndarray, np.ndarray], float]
"""Takes numbers of labelled images and of those that are asked about, and returns the share that is right."""


def main(
    stores: list[Path],
    unlabelled: Annotated[int, typer.Option(help="Most images to learn from.")] = 5000,
    steps: int = 300,
    partitions: int = 5,
    draws: Annotated[int, typer.Option(help="Draws of the labelled images.")] = 10,
) -> None:
    """Print a line for each dataset and method: accuracy with one and with five labels a class, and seconds to fit."""
    written = csv.writer(sys.stdout, lineterminator="\n")
    written.writerow(["images", "method", "1 label a class", "5 labels a class", "seconds to fit"])
    for store in stores:
        dataset = read_zarr(store)
        images, labels, test = _images(dataset["image"].values), dataset["label"].values, dataset["split"].values == 1
        with TemporaryDirectory() as folder:
            options = {"steps": steps, "partitions": partitions, "jitter": JITTER, "folder": folder}
            methods = _methods(images[~test][:unlabelled], images[test], labels[test], options)
            for name, (score, seconds) in methods.items():
                rng = np.random.default_rng(0)
                cells = [_said(score, rng, labels[test], shots, draws) for shots in (1, 5)]
                written.writerow([dataset.attrs["name"], name, *cells, f"{seconds:.0f}"])
                sys.stdout.flush()


def _images(pixels: UInt8[np.ndarray, "image row column ..."]) -> Images:
    images = pixels.reshape(*pixels.shape[:3], -1)
    times = -(-SMALLEST // images.shape[1])
    return images.repeat(times, 1).repeat(times, 2)


def _methods(seen: Images, images: Images, labels: Labels, options: Any) -> dict[str, tuple[Score, float]]:
    def fitted(method: str) -> tuple[FewShotClassifier, float]:
        begin = time.monotonic()
        return FewShotClassifier(method=method, **options).fit(seen), time.monotonic() - begin

    def scored(learner: FewShotClassifier) -> Score:
        return lambda known, asked: learner.adapt(images[known], labels[known]).score(images[asked], labels[asked])

    neighbours, seconds = fitted("nearest-neighbours")
    # It takes the embedding from the folder.
    protonets, further = fitted("protonets")
    flat = images.reshape(len(images), -1)
    code = labelling.features(neighbours.learner_, flat)
    return {
        "ProtoNets": (scored(protonets), seconds + further),
        "nearest neighbours in the embedding": (scored(neighbours), seconds),
        "logistic regression on the embedding": (_readout(code, labels), seconds),
        "logistic regression on pixels": (_readout(flat, labels), 0.0),
    }


def _readout(x: np.ndarray, labels: Labels) -> Score:
    def right(known: np.ndarray, asked: np.ndarray) -> float:
        readout = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x[known], labels[known])
        return float(readout.score(x[asked], labels[asked]))

    return right


def _said(score: Score, rng: np.random.Generator, labels: Labels, shots: int, draws: int) -> str:
    accuracies = []
    for _ in range(draws):
        order = rng.permutation(len(labels))
        known = np.concatenate([order[labels[order] == label][:shots] for label in np.unique(labels)])
        asked = np.setdiff1d(order, known)[:2000]
        accuracies.append(score(known, asked))
    mean, low, high = (100 * float(end) for end in normal_interval(np.array(accuracies)))
    return f"{mean:.1f} ± {(high - low) / 2:.1f}"


if __name__ == "__main__":
    typer.run(main)
