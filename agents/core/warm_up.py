"""What a desk's agents thought of the bars before its first decision. Their usual conviction is measured over it too,
so it is kept: a desk that is restarted must go on as if it had not been."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agents.core.arrays import Floats


@dataclass(frozen=True, slots=True)
class WarmUp:
    """`opinions` [n, A, S] on the axes `agents` and `symbols`, oldest first: strength x confidence, NaN where the agent
    abstained; n may be 0."""

    agents: tuple[str, ...]
    symbols: tuple[str, ...]
    opinions: Floats

    def on(self, agents: Sequence[str], symbols: Sequence[str]) -> Floats:
        """The opinions on other axes; NaN for what was not there."""
        result = np.full((len(self.opinions), len(agents), len(symbols)), np.nan)
        mine = [(a, self.agents.index(name)) for a, name in enumerate(agents) if name in self.agents]
        theirs = [(s, self.symbols.index(name)) for s, name in enumerate(symbols) if name in self.symbols]
        for a, old_a in mine:
            for s, old_s in theirs:
                result[:, a, s] = self.opinions[:, old_a, old_s]
        return result

    def pack(self) -> bytes:
        """As bytes: numpy's npz, no pickle."""
        buffer = io.BytesIO()
        agents, symbols = np.array(self.agents, dtype=np.str_), np.array(self.symbols, dtype=np.str_)
        np.savez_compressed(buffer, agents=agents, symbols=symbols, opinions=self.opinions)
        return buffer.getvalue()

    @classmethod
    def unpack(cls, packed: bytes) -> WarmUp:
        """What `pack` wrote."""
        with np.load(io.BytesIO(packed), allow_pickle=False) as saved:
            return cls(tuple(saved["agents"].tolist()), tuple(saved["symbols"].tolist()), saved["opinions"])
