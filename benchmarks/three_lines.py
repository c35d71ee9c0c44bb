"""What `FewShotClassifier` makes of images that nothing was tuned on, beside logistic regressions on the same labels.

`python -m benchmarks.three_lines STORE...` takes datasets that the workflow has prepared. Images of the training split
are learned from without labels; of each class of the test split some are labelled and the others asked about.
"""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from jaxtyping import Float32, Shaped
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

Images = Float32[np.ndarray, "image row column channel"]
Score = Callable[[np.ndarray, np.ndarray], float]
"""Takes numbers of labelled images and of those that are asked about, and returns the share that is right."""


def main(
    stores: list[Path],
    unlabelled: Annotated[int, typer.Option(help="Most images to learn from.")] = 5000,
    steps: int = 300,
    partitions: int = 5,
    draws: Annotated[int, typer.Option(help="Draws of the labelled images.")] = 10,
) -> None:
    """Print a table of each dataset: accuracy with one and with five labels a class, and seconds to fit."""
    for store in stores:
        dataset = read_zarr(store)
        images, labels, test = _images(dataset["image"].values), dataset["label"].values, dataset["split"].values == 1
        seen, images, labels = images[~test][:unlabelled], images[test], labels[test]
        print(f"\n{dataset.attrs['name']}: {len(seen)} images without labels, {len(set(labels))} classes\n")
        print("| | 1 label a class | 5 labels a class | seconds to fit |\n|---|---|---|---|")
        with TemporaryDirectory() as folder:
            options = {"steps": steps, "partitions": partitions, "jitter": JITTER, "folder": folder}
            for name, (score, seconds) in _methods(seen, images, labels, options).items():
                rng = np.random.default_rng(0)
                cells = [_said(score, rng, labels, shots, draws) for shots in (1, 5)]
                print(f"| {name} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)


def _images(pixels: Shaped[np.ndarray, "image row column ..."]) -> Images:
    images = pixels.reshape(*pixels.shape[:3], -1).astype(np.float32) / 255
    times = -(-SMALLEST // images.shape[1])
    return images.repeat(times, 1).repeat(times, 2)


def _methods(seen: Images, images: Images, labels: np.ndarray, options: Any) -> dict[str, tuple[Score, float]]:
    found: dict[str, tuple[Score, float]] = {}
    for method in ("nearest-neighbours", "protonets"):
        begin = time.monotonic()
        learner = FewShotClassifier(method=method, **options).fit(seen)
        # The embedding was trained by the first of them.
        seconds = time.monotonic() - begin + (found["nearest-neighbours"][1] if found else 0)

        def right(known: np.ndarray, asked: np.ndarray, learner: FewShotClassifier = learner) -> float:
            return float(learner.adapt(images[known], labels[known]).score(images[asked], labels[asked]))

        found[method] = right, seconds
        if method == "nearest-neighbours":
            code = labelling.features(learner.learner_, images.reshape(len(images), -1))
    flat = images.reshape(len(images), -1)
    found["logistic regression on the embedding"] = _readout(code, labels), found["nearest-neighbours"][1]
    return found | {"logistic regression on pixels": (_readout(flat, labels), 0.0)}


def _readout(x: np.ndarray, labels: np.ndarray) -> Score:
    def right(known: np.ndarray, asked: np.ndarray) -> float:
        readout = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x[known], labels[known])
        return float(readout.score(x[asked], labels[asked]))

    return right


def _said(score: Score, rng: np.random.Generator, labels: np.ndarray, shots: int, draws: int) -> str:
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
