"""A tiny VAE in a process of its own: python toy_embedding.py FOLDER [EVENT]; prints the hash of its features.

With EVENT, the process kills itself at that one of its writes, renames and flushes, as in toy_run.py.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
from metaplastic.embeddings.base import Unlabelled
from metaplastic.embeddings.spec import Vae
from metaplastic.embeddings.vae import embed
from metaplastic.training.loop import Folder
from toy_run import kill_at


def main(folder: str, event: str = "") -> None:
    if event:
        kill_at(int(event))
    spec = Vae(kind="vae", features=2, hidden=[3], steps=[0, 4, 10], every=2, batch=5)
    data = Unlabelled(np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32), np.arange(20) < 12, None)
    embedded = embed(data, spec, seeds=[0, 1], folder=Folder(Path(folder), {"config": "toy"}))
    print(hashlib.sha256(embedded.features.tobytes()).hexdigest())


if __name__ == "__main__":
    main(*sys.argv[1:])
