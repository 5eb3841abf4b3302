"""The ways of training that are compared (Dean et al. 2012, sec. 5, and two without servers)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from distbelief.app.errors import ConfigError
from distbelief.app.settings.config import RunConfig


@dataclass(frozen=True)
class Method:
    """A way of training.

    Args:
        name: in flags, files and tables.
        title: in figures and sentences.
        settings: those that make it what it is; the others are the comparison's.
        alone: whether it is one process without any server or worker.
        replicated: whether it is tried with several numbers of replicas.
        rated: whether it has a rate to be tuned.
        batch: whether its worker processes share a batch, so that they are its replicas.
    """

    name: str
    title: str
    settings: Mapping[str, Any]
    alone: bool = False
    replicated: bool = True
    rated: bool = True
    batch: bool = False


#: Steps that a replica takes alone in the method with a warm start, unless settings say others.
WARM_START_STEPS = 200

SGD = {"algorithm": "downpour", "optimizer": "sgd"}
ADAGRAD = {"algorithm": "downpour", "optimizer": "adagrad"}

METHODS = (
    Method("numpy", "one process, SGD", SGD, alone=True, replicated=False),
    Method("numpy-adagrad", "one process, Adagrad", ADAGRAD, alone=True, replicated=False),
    Method("one-replica", "one replica of SGD", SGD, replicated=False),
    Method("downpour", "Downpour, fixed rate", SGD),
    Method("downpour-adagrad", "Downpour with Adagrad", ADAGRAD),
    Method(
        "downpour-warm",
        "Downpour with Adagrad and warm start",
        {**ADAGRAD, "warm_start_steps": WARM_START_STEPS},
    ),
    Method(
        "sandblaster", "Sandblaster L-BFGS", {"algorithm": "sandblaster"}, rated=False, batch=True
    ),
    Method("hybrid", "Downpour, then L-BFGS", {"algorithm": "hybrid", "optimizer": "adagrad"}),
)


def known_methods() -> list[Method]:
    """The methods whose algorithm the settings know."""
    algorithms = get_args(RunConfig.model_fields["algorithm"].annotation)
    return [method for method in METHODS if method.settings["algorithm"] in algorithms]


def method_of(name: str) -> Method:
    """The method of that name; raises ConfigError."""
    known = {method.name: method for method in known_methods()}
    if name not in known:
        raise ConfigError(f"there is no method {name!r} here: use some of {', '.join(known)}")
    return known[name]


def methods_of(names: Sequence[str]) -> tuple[Method, ...]:
    """Methods by name, each once, in the order of :data:`METHODS`; raises ConfigError."""
    wanted = [method_of(name) for name in names]
    return tuple(method for method in METHODS if method in wanted)
