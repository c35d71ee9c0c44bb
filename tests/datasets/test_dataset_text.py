import numpy as np
import pytest
from metaplastic.datasets.sources.text import bag_of_words, tokens
from metaplastic.io.errors import InputError

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


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (TEXTS, "vocabulary: 9 words asked for, the training texts hold 4; give at most that"),
        (["", "...", "word"], "vocabulary: 9 words asked for, the training texts hold no word; look at the source"),
    ],
)
def test_too_few_words_are_refused(texts, message):
    with pytest.raises(InputError) as error:
        bag_of_words(texts, TEST, 9)
    assert str(error.value) == message
