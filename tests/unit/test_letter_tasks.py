import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rules_src.config.meta_train import Jitter, LetterTasks, Variety
from rules_src.tasks.letters import Glyphs, jittered, sample_labelled, sample_task, sample_unlabelled

PLAIN = LetterTasks(
    side=4,
    classes=3,
    jitter=Jitter(rotation=0.0, scale=0.0, shift=0.0, shear=0.0),
    variety=Variety(inverted=0.0, gamma=0.0, gain=0.0, noise=0.0, dropped=0.0),
)
GLYPHS = Glyphs(jax.random.uniform(jax.random.key(0), (5, 6, 8, 8)))


def test_without_jitter_and_variety_a_task_shows_its_glyphs_permuted() -> None:
    task = sample_task(jax.random.key(1), PLAIN, 6)
    x, y = sample_labelled(jax.random.key(2), task, GLYPHS, PLAIN, 7)
    assert y.sum(0).tolist() == [7.0, 7.0, 7.0]
    small = np.asarray(GLYPHS.pixels).reshape(5, 6, 4, 2, 4, 2).mean((3, 5)).reshape(5, 6, 16)
    for row, label in zip(np.asarray(x), np.asarray(y).argmax(1), strict=True):
        candidates = small[:, int(task.characters[label])][:, np.asarray(task.permutation)]
        assert np.abs(candidates - row).max(1).min() < 1e-5


def test_classes_differ_and_permutations_are_permutations() -> None:
    for seed in range(20):
        task = sample_task(jax.random.key(seed), PLAIN, 6)
        assert len(set(task.characters.tolist())) == 3
        assert sorted(task.permutation.tolist()) == list(range(16))


def test_unlabelled_examples_fill_the_shape_asked_for() -> None:
    task = sample_task(jax.random.key(1), PLAIN, 6)
    assert sample_unlabelled(jax.random.key(2), task, GLYPHS, PLAIN, (3, 5)).shape == (3, 5, 16)


def test_variety_drops_inputs_and_inverts_for_the_whole_task() -> None:
    spec = PLAIN.model_copy(update={"variety": Variety(inverted=1.0, gamma=0.0, gain=0.0, noise=0.0, dropped=0.9)})
    task = sample_task(jax.random.key(5), spec, 6)
    x = np.asarray(sample_unlabelled(jax.random.key(2), task, GLYPHS, spec, (50,)))
    dropped = (x == 0).all(0)
    assert 0 < dropped.sum() < 16
    plain = task._replace(inverted=jnp.array(0.0), gain=jnp.ones(16))
    upright = np.asarray(sample_unlabelled(jax.random.key(2), plain, GLYPHS, spec, (50,)))
    np.testing.assert_allclose(x[:, ~dropped], 1 - upright[:, ~dropped], atol=1e-5)


@pytest.mark.parametrize("kind", ["rotation", "scale", "shift", "shear"])
def test_each_kind_of_jitter_moves_ink_but_keeps_most_of_it(kind: str) -> None:
    image = jnp.zeros((16, 16)).at[4:12, 6:10].set(1.0)
    images = jnp.broadcast_to(image, (64, 16, 16))
    size = {"rotation": 20.0, "scale": 0.2, "shift": 0.1, "shear": 0.2}[kind]
    jitter = Jitter(**{"rotation": 0.0, "scale": 0.0, "shift": 0.0, "shear": 0.0, kind: size})
    shown = np.asarray(jittered(jax.random.key(0), images, jitter))
    still = np.asarray(image).reshape(8, 2, 8, 2).mean((1, 3))
    assert shown.std(0).max() > 0.02
    assert np.abs(shown.sum((1, 2)) / still.sum() - 1).mean() < 0.25
    np.testing.assert_allclose(shown.mean(0).sum(), still.sum(), rtol=0.1)
