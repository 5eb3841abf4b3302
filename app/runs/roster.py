"""The roster: which workers are there, and what they answer to questions.

It is on the control server, so that it is the same whatever Celery's broker is: many have no
remote control, and a team may have switched it off. A worker beats, and waits for questions; who
asks waits for those who beat lately. A name is ``name@host`` and, behind a blank, a word of its
own: two workers of one name are two.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import LONGEST_WAIT_S, Servers
from distbelief.app.layout.keys import WORKERS, answers, questions

#: A worker beats so often while nobody asks it anything.
BEAT_S = LONGEST_WAIT_S

#: One that has not been seen for so long is not asked.
PRESENT_S = 3 * BEAT_S

#: Those that have not been seen for so long are nobody's business any more.
FORGOTTEN_S = 3600.0

#: How long questions and answers are kept for whoever has gone.
KEPT_S = 60


class Question(BaseModel):
    """What a worker is asked: a ``command``, and its words."""

    model_config = ConfigDict(strict=True, frozen=True)

    command: str
    words: dict[str, Any]
    answers: str


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    worker: str
    answer: dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """Workers on the roster: those seen lately, and those that have been silent since."""

    present: tuple[str, ...]
    silent: tuple[str, ...]


class Roster:
    """The roster on a control server, for workers and for those who ask them."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def beat(self, worker: str) -> None:
        """Say that a worker is there."""
        seconds, _ = self._servers.one("TIME")
        self._servers.one("ZADD", WORKERS, int(seconds), worker)

    def leave(self, worker: str) -> None:
        """Say that a worker is no longer there."""
        self._servers.one("ZREM", WORKERS, worker)
        self._servers.one("UNLINK", questions(worker))

    def next_question(self, worker: str) -> Question | None:
        """Wait for a question until it is time to beat; None without one that is ours."""
        text = self._servers.pop(questions(worker), BEAT_S)
        try:
            return None if text is None else Question.model_validate_json(text)
        except ValidationError:
            return None

    def answer(self, question: Question, worker: str, answer: Mapping[str, Any]) -> None:
        """Answer a question."""
        text = json.dumps({"worker": worker, "answer": answer})
        self._push(answers(question.answers), text)

    def look(self) -> Seen:
        """Who is there, and who was."""
        listed, (seconds, _) = self._servers.call(
            [Command(0, ("ZRANGE", WORKERS, 0, -1, "WITHSCORES")), Command(0, ("TIME",))]
        )
        ages = {
            name.decode(errors="replace"): int(seconds) - float(score)
            for name, score in zip(listed[::2], listed[1::2], strict=True)
        }
        if old := [name for name, age in ages.items() if age > FORGOTTEN_S]:
            self._servers.one("ZREM", WORKERS, *old)
        return Seen(
            tuple(name for name, age in ages.items() if age <= PRESENT_S),
            tuple(name for name, age in ages.items() if PRESENT_S < age <= FORGOTTEN_S),
        )

    def ask(
        self,
        command: str,
        words: Mapping[str, Any],
        answer_s: float,
        to: Collection[str] | None = None,
    ) -> dict[str, dict[str, Any]]:
        """What workers answer within ``answer_s``: all that are there, or those named ``to``."""
        word = uuid.uuid4().hex
        question = json.dumps({"command": command, "words": words, "answers": word})
        asked = {
            worker
            for worker in self.look().present
            if to is None or worker in to or shown(worker) in to
        }
        for worker in asked:
            self._push(questions(worker), question)
        found: dict[str, dict[str, Any]] = {}
        deadline = time.monotonic() + answer_s
        while asked - found.keys() and (left_s := deadline - time.monotonic()) > 0:
            text = self._servers.pop(answers(word), left_s)
            if text is not None:
                try:
                    said = _Answer.model_validate_json(text)
                except ValidationError:
                    continue
                found[said.worker] = said.answer
        return found

    def _push(self, key: str, text: str) -> None:
        self._servers.call([Command(0, ("RPUSH", key, text)), Command(0, ("EXPIRE", key, KEPT_S))])


def shown(worker: str) -> str:
    """The name of a worker for people."""
    return worker.partition(" ")[0]
