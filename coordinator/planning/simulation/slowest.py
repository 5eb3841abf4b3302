"""How far replicas have come, and which is the slowest: asked at each push of thousands."""

from __future__ import annotations

from collections import Counter


class Slowest:
    """Pushes that the servers have of each replica."""

    def __init__(self, replicas: int) -> None:
        self.pushes = [0] * replicas
        self._at = Counter({0: replicas})
        self._least = 0

    def note(self, replica: int) -> None:
        """A push of a replica has arrived."""
        before = self.pushes[replica]
        self.pushes[replica] = before + 1
        self._at[before] -= 1
        self._at[before + 1] += 1
        while not self._at[self._least]:
            del self._at[self._least]
            self._least += 1

    def but(self, replica: int) -> int | None:
        """The pushes of the slowest of the others, None if there are no others."""
        if len(self.pushes) == 1:
            return None
        least = self._least
        if self.pushes[replica] == least and self._at[least] == 1:
            least = min(each for each, count in self._at.items() if count and each > least)
        return least
