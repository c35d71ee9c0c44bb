import numpy as np
import pytest
from metaplastic.datasets.arrays import load_inputs
from metaplastic.datasets.schema import About, make_dataset
from metaplastic.datasets.sources.text import bag_of_words, tokens
from refusals import refused
from sklearn.feature_extraction.text import TfidfTransformer

TEXTS = ["good good film", "bad film, a bad FILM", "unseen unseen unseen unseen good"]
TEST = np.array([False, False, True])


def test_tokens():
    assert tokens("Don't<br />miss 'It' -- it's A 10/10!") == ["don't", "miss", "it", "it's", "a", "10", "10"]
    assert tokens("Clichés_abound") == ["clichés", "abound"]


def test_the_vocabulary_is_that_of_the_training_texts():
    counts, words = bag_of_words(TEXTS, TEST, 3)
    assert words == ["film", "bad", "good"]
    np.testing.assert_array_equal(counts, [[1, 0, 2], [2, 2, 0], [0, 0, 1]])


def test_counts_saturate():
    assert bag_of_words(["word " * 300], np.array([False]), 1)[0].item() == 255


COUNTS = np.array([[1, 0, 2], [2, 2, 0], [0, 0, 0], [0, 3, 1]], np.uint8)
SPLIT = np.array([0, 0, 0, 1], np.uint8)


@pytest.mark.parametrize(
    ("weighting", "expected"),
    [
        ("binary", COUNTS > 0),
        ("counts", COUNTS),
        ("log", np.log(1 + COUNTS.astype(float))),
        ("tf-idf", TfidfTransformer().fit(COUNTS[:3]).transform(COUNTS).toarray()),
    ],
)
def test_methods_see_words_as_the_store_says(weighting: str, expected):
    attributes = {"class_names": ["0", "1"], "weighting": weighting}
    stored = make_dataset(COUNTS, np.array([0, 1, 0, 1]), SPLIT, About("words", "", "", ""), **attributes)
    assert stored["feature"].dtype == np.uint8
    inputs = load_inputs(stored).inputs
    assert inputs.dtype == np.float32
    np.testing.assert_allclose(inputs, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (TEXTS, "vocabulary: 9 words asked for, the training texts hold 4; give at most that"),
        (["", "...", "word"], "vocabulary: 9 words asked for, the training texts hold no word; look at the source"),
    ],
)
def test_too_few_words_are_refused(texts, message):
    assert refused(bag_of_words, texts, TEST, 9) == message
