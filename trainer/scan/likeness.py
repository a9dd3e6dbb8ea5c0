"""How alike texts are: TF-IDF over hashed words, for whole groups at once."""

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from trainer.scan.phrases import WORD

SIZE = 1 << 16
"""Hashed words; few of a file's collide."""


def tfidf(texts: Sequence[str], size: int = SIZE) -> sp.csr_matrix:
    """Texts by hashed words: (1 + log count) times log inverse frequency, each row of length 1 (0 for no words)."""
    numbers: dict[str, int] = {}
    columns: list[int] = []
    ends = [0]
    for text in texts:
        for word in WORD.findall(text.casefold()):
            number = numbers.get(word)
            if number is None:
                number = numbers[word] = zlib.crc32(word.encode()) % size
            columns.append(number)
        ends.append(len(columns))
    matrix = sp.csr_matrix((np.ones(len(columns)), columns, ends), (len(texts), size))
    matrix.sum_duplicates()
    frequency = np.bincount(matrix.indices, minlength=size)
    matrix.data = (1 + np.log(matrix.data)) * np.log((1 + len(texts)) / (1 + frequency))[matrix.indices]
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1)).ravel())
    return sp.diags(1 / np.maximum(lengths, 1e-12)) @ matrix


def likeness(matrix: sp.csr_matrix, group: npt.NDArray[np.int64]) -> float:
    """Mean cosine of all pairs in a group of rows; 0 for a single one."""
    if len(group) < 2:
        return 0.0
    rows = matrix[group]
    total = np.asarray(rows.sum(0)).ravel()
    own = float(rows.multiply(rows).sum())
    return (float(total @ total) - own) / (len(group) * (len(group) - 1))
