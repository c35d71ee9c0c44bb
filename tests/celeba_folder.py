"""A tiny CelebA: the layout of the published one, with images whose pixels say what attributes they have."""

from pathlib import Path

import numpy as np
from PIL import Image

ATTRIBUTES = [f"Attribute_{number}" for number in range(40)]


def write_celeba(root: Path, images: int = 60, size: tuple[int, int] = (11, 9)) -> np.ndarray:
    """Two images in three train, others validate and test in turn; the first 40 of an image's pixels are attributes.

    Returns:
        What each image has, `[image, attribute]`.
    """
    (root / "img_align_celeba").mkdir(parents=True)
    values = np.random.default_rng(0).random((images, 40)) < 0.5
    names = [f"{number:06}.jpg" for number in range(1, images + 1)]
    for name, has in zip(names, values, strict=True):
        pixels = np.zeros(size[0] * size[1], np.uint8)
        pixels[:40] = 255 * has
        grey = Image.fromarray(pixels.reshape(size)).convert("RGB")
        # Its name is that of a JPEG, which would change pixels.
        grey.save(root / "img_align_celeba" / name, format="PNG")
    rows = [" ".join([name, *np.where(has, "1", "-1")]) for name, has in zip(names, values, strict=True)]
    (root / "list_attr_celeba.txt").write_text("\n".join([str(images), " ".join(ATTRIBUTES), *rows]) + "\n")
    parts = [f"{name} {(0, 0, 0, 0, 1, 2)[number % 6]}" for number, name in enumerate(names)]
    (root / "list_eval_partition.txt").write_text("\n".join(parts) + "\n")
    return values
