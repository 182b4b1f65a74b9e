"""Where an answer ends, and what its text is then."""

from __future__ import annotations

from collections.abc import Collection

from transformers import PreTrainedTokenizerBase

# Tokens read beside those of a stop string: the first one decoded may lose its blank, and a letter
# can take four.
MARGIN = 8


class Endings:
    """What ends an answer: one of the token ids `ends`, one of the strings `stop`, or `longest`
    tokens.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        ends: Collection[int],
        stop: Collection[str],
        longest: int,
    ):
        if "" in stop:
            raise ValueError("an empty stop string would end every answer before it begins")
        self.tokenizer, self.ends, self.stop, self.longest = (
            tokenizer,
            set(ends),
            tuple(stop),
            longest,
        )
        self.tail = max((len(string.encode()) for string in stop), default=0) + MARGIN

    def reached(self, ids: list[int]) -> bool:
        """Whether an answer ends with the last of these tokens; asked after each of them."""
        return len(ids) >= self.longest or ids[-1] in self.ends or self._stops(ids[-self.tail :])

    def reason(self, ids: list[int]) -> str:
        """Why an answer that has ended did so: "stop" where the model ended it, or "length"."""
        return "stop" if ids[-1] in self.ends or self._stops(ids) else "length"

    def text(self, ids: list[int]) -> str:
        """The answer up to its first stop string, without special tokens and outer white space."""
        text = self._decoded(ids)
        places = [place for place in map(text.find, self.stop) if place >= 0]
        return text[: min(places, default=len(text))].strip()

    def _stops(self, ids: list[int]) -> bool:
        return bool(self.stop) and any(string in self._decoded(ids) for string in self.stop)

    def _decoded(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True)
