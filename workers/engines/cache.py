"""The keys and values of the rows that are being decoded, allocated once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


@dataclass
class Window:
    """The part of a tape that holds something: its first rows, and the columns from `first` up to
    `end`.
    """

    rows: int = 0
    first: int = 0
    end: int = 0

    @property
    def width(self) -> int:
        return self.end - self.first


class Strip(CacheLayerMixin):
    """One layer of a tape: keys and values, each (rows, heads, columns, head size), zero where
    nothing was written.

    Not a number in a column that is masked would still poison its row: hence the zeros.
    """

    is_sliding = False  # a sliding layer keeps all columns too; the model's mask hides the old ones
    is_initialized = True

    def __init__(self, window: Window, like: CacheLayerMixin, rows: int, columns: int):
        self.window = window
        self.stored = [self._empty(old, rows, columns) for old in (like.keys, like.values)]

    @staticmethod
    def _empty(like: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
        return like.new_zeros(rows, like.shape[1], columns, like.shape[3])

    keys = property(lambda self: self._seen(self.stored[0]))
    values = property(lambda self: self._seen(self.stored[1]))

    def _seen(self, stored: torch.Tensor, extra: int = 0) -> torch.Tensor:
        window = self.window
        return stored[: window.rows, :, window.first : window.end + extra]

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, *args, **kwargs
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write each row's newest keys and values (rows, heads, 1, head size); returns them with
        all before them.
        """
        for stored, new in zip(self.stored, (keys, values)):
            stored[: self.window.rows, :, self.window.end] = new[:, :, 0]
        return self._seen(self.stored[0], 1), self._seen(self.stored[1], 1)

    def lazy_initialization(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Nothing is left to do."""

    def get_seq_length(self) -> int:
        return self.window.width

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.window.width + query_length, 0

    def get_max_length(self) -> int:
        return -1


class Tape(Cache):
    """A cache of transformers whose rows come and go while the model is running.

    All rows end in the same column, so that a step writes one column and every distance between two
    tokens is what the model expects; a row that is shorter than the window is masked at its start.
    Live rows are always the first ones, without a gap.
    """

    def __init__(self, like: list[CacheLayerMixin], rows: int, columns: int):
        """Room for `rows` of at most `columns`, with layers shaped `like` these."""
        self.window, self.columns = Window(), columns
        super().__init__(layers=[Strip(self.window, layer, rows, columns) for layer in like])

    def add(self, layers: list[CacheLayerMixin], places: list[int], width: int) -> None:
        """Append a row for each of `places` in `layers`, which end in their last column; its last
        `width` are kept.
        """
        window = self.window
        if not window.rows:
            window.first = window.end = width
        window.first = min(window.first, window.end - width)
        self._write(layers, places, slice(-width, None), slice(window.end - width, window.end))

    def add_left(self, layers: list[CacheLayerMixin], places: list[int], width: int) -> None:
        """The same for rows that start in their first column and don't grow."""
        self.window.end = max(self.window.end, width)
        self._write(layers, places, slice(0, width), slice(0, width))

    def _write(
        self, layers: list[CacheLayerMixin], places: list[int], source: slice, target: slice
    ) -> None:
        rows = slice(self.window.rows, self.window.rows + len(places))
        for strip, layer in zip(self.layers, layers):
            for stored, new in zip(strip.stored, (layer.keys, layer.values)):
                stored[rows, :, target] = new[places, :, source]
        self.window.rows = rows.stop

    def keep(self, order: list[int]) -> None:
        """Let row i be what row `order[i]` was (see `closed_up`) and forget the others."""
        moved = [(new, old) for new, old in enumerate(order) if new != old]
        if moved:
            new, old = map(list, zip(*moved))
            columns = slice(self.window.first, self.window.end)
            for stored in self._all_stored():
                stored[new, :, columns] = stored[old, :, columns]
        self.window.rows = len(order)

    def narrow(self, width: int) -> None:
        """Forget the columns before the last `width`, and move to the front when the last column is
        taken.
        """
        window = self.window
        window.first = window.end - width
        if window.end == self.columns:
            for stored in self._all_stored():
                stored[: window.rows, :, :width] = stored[
                    : window.rows, :, window.first : window.end
                ].clone()
            window.first, window.end = 0, width

    def advance(self) -> None:
        """The model has written a column, in every layer."""
        self.window.end += 1

    def _all_stored(self) -> list[torch.Tensor]:
        return [stored for strip in self.layers for stored in strip.stored]


def closed_up(rows: int, gone: set[int]) -> list[int]:
    """Which of `rows` each remaining one was, when the last ones move into the places of those that
    are `gone`.
    """
    left = rows - len(gone)
    movers = [row for row in range(left, rows) if row not in gone]
    return [movers.pop() if row in gone else row for row in range(left)]
