"""A tiny prototypical network in a process of its own: python toy_learner.py FOLDER [EVENT]; prints a hash of it.

With EVENT, the process kills itself at that one of its writes, renames and flushes, as in toy_run.py.
"""

import hashlib
import sys
from pathlib import Path

import jax
import numpy as np
from metaplastic.few_shot.episodes import pool
from metaplastic.few_shot.learners import protonets
from metaplastic.few_shot.learners.meta_learning import MetaLearning, recorded
from metaplastic.few_shot.spec import ProtoNets, Shape
from metaplastic.training.loop import SNAPSHOTS, Folder
from toy_run import kill_at

SHAPE = Shape(way=3, shots=1, queries=2)


def main(folder: str, event: str = "") -> None:
    if event:
        kill_at(int(event))
    spec = ProtoNets(
        kind="protonets", tasks=SHAPE, task_batch=2, steps=[20, 40], every=20, filters=4, learning_rate=0.01
    )
    rng, label = np.random.default_rng(0), np.arange(60) % 6
    images = (rng.normal(size=(6, 256))[label] + rng.normal(size=(60, 256))).astype(np.float32)
    drawn_from = pool(label[None], np.ones(60, bool), SHAPE, place="tasks")
    record = {"config": "toy"}
    training = MetaLearning(protonets.initial, spec, images, (16, 16, 1), drawn_from, Folder(Path(folder), record))
    training.finish()
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(recorded(protonets.initial, spec, (16, 16, 1), Path(folder) / SNAPSHOTS, 40)):
        digest.update(np.asarray(leaf).tobytes())
    print(digest.hexdigest())


if __name__ == "__main__":
    main(*sys.argv[1:])
