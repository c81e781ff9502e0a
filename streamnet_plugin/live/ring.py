"""The last so many of an endless row of values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray


class Ring:
    """A ring buffer whose contents can be had in one piece.

    Every value is written twice, half the memory apart, so that any run of values that is still
    held lies in a row somewhere: reading never copies.

    Args:
        capacity: values held; older ones are overwritten.
        shape, dtype: of one value.

    Attributes:
        count: values ever appended; positions are counted from the first of them.
    """

    def __init__(
        self, capacity: int, shape: tuple[int, ...] = (), dtype: DTypeLike = np.float64
    ) -> None:
        self.capacity, self.count = capacity, 0
        self._twice: NDArray[Any] = np.empty((2 * capacity, *shape), dtype)

    def append(self, value: ArrayLike) -> None:
        place = self.count % self.capacity
        self._twice[place] = self._twice[place + self.capacity] = value
        self.count += 1

    @property
    def first(self) -> int:
        """Position of the oldest value held."""
        return max(0, self.count - self.capacity)

    def view(self, start: int, stop: int) -> NDArray[Any]:
        """(stop - start, ...) values at these positions, good until the next `append`.

        Raises:
            IndexError: some of them are not there, or not any more.
        """
        if not self.first <= start <= stop <= self.count:
            raise IndexError(
                f"values {start} to {stop} of a ring that holds {self.first} to {self.count}"
            )
        place = start % self.capacity
        return self._twice[place : place + stop - start]
