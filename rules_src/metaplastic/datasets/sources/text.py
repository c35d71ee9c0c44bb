"""Bags of words."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import compress

import numpy as np
from jaxtyping import Bool, UInt8
from sklearn.feature_extraction.text import CountVectorizer

from metaplastic.io.errors import InputError

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
MARKUP = re.compile(r"<[^>]*>")


def tokens(text: str) -> list[str]:
    """Return the words of a text in lower case, without markup; an apostrophe joins (`don't` is one word)."""
    return WORD.findall(MARKUP.sub(" ", text.lower()))


def bag_of_words(
    texts: Sequence[str], test: Bool[np.ndarray, " example"], vocabulary: int
) -> tuple[UInt8[np.ndarray, "example word"], list[str]]:
    """Count the `vocabulary` most frequent words of the training texts, ties by alphabet, up to 255; refuse too few."""
    frequency = Counter(word for text in compress(texts, ~test) for word in tokens(text))
    if len(frequency) < vocabulary:
        held = f"{len(frequency)}; give at most that" if frequency else "no word; look at the source"
        raise InputError(f"vocabulary: {vocabulary} words asked for, the training texts hold {held}")
    words = sorted(frequency, key=lambda word: (-frequency[word], word))[:vocabulary]
    counts = CountVectorizer(analyzer=tokens, vocabulary=words).transform(texts)
    counts.data = np.minimum(counts.data, 255).astype(np.uint8)
    return counts.toarray(), words
