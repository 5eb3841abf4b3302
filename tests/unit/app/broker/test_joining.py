"""Joining an application of a team's: what it brings, what it leaves alone, what is refused."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from celery import Celery

from distbelief.app.broker import joining
from distbelief.app.broker.messages import task_of
from distbelief.app.broker.tasks import CODE
from distbelief.app.errors import ConfigError
from distbelief.app.settings.environment import CONTROL, KEY_PREFIX
from distbelief.coordinator.cluster.joined import complete

REDIS = "redis://host:6379/1"


def made(broker: str = REDIS, **settings: object) -> Celery:
    app = Celery("shop", broker=broker, set_as_current=False)
    app.conf.update(settings)
    return app


@pytest.fixture(autouse=True)
def _nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (CONTROL, f"{CONTROL}_FILE", KEY_PREFIX):
        monkeypatch.delenv(name, raising=False)


def test_our_tasks_carry_their_options_and_its_settings_stay() -> None:
    app, other = made(task_acks_late=True, task_default_rate_limit="1/h"), made()
    before = app.conf.humanize()
    joining.join(app)
    assert app.conf.humanize() == before
    task = app.tasks[task_of("downpour")]
    assert (task.acks_late, task.ignore_result, task.serializer) == (False, True, "json")
    assert not task.rate_limit
    assert not {task_of(kind) for kind in CODE} & {*other.tasks}
    assert task("../odd", 7) == "refused"


def test_the_ledger_is_on_the_broker_if_that_is_a_redis() -> None:
    app, rabbit = made(), made("amqp://host//")
    joining.join(app)
    assert joining.control_of(app) == REDIS
    joining.join(rabbit)
    with pytest.raises(ConfigError, match=r"is no single Redis: name a Redis .* by --control"):
        joining.control_of(rabbit)
    joining.join(rabbit, control=REDIS)
    assert joining.control_of(rabbit) == REDIS


def test_the_ledger_has_the_operators_prefix_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    app = made()
    joining.join(app)
    monkeypatch.setenv(KEY_PREFIX, "team1:")
    assert joining.control_of(app) == f"{REDIS}?key_prefix=team1:"


def test_celerys_sentinels_are_no_address_of_the_ledger() -> None:
    app = made("sentinel://host:26379/0")  # Celery has the master's name elsewhere
    joining.join(app)
    with pytest.raises(ConfigError, match=r"is no single Redis: name a Redis"):
        joining.control_of(app)


def test_a_broker_beside_an_application_is_refused() -> None:
    app = made()
    joining.join(app)
    with pytest.raises(ConfigError, match="has a broker of its own: leave out broker"):
        complete({"celery_app": joining.name_of(app), "broker": REDIS})


def test_calls_in_place_and_strangers_are_refused() -> None:
    eager = made(task_always_eager=True)
    joining.join(eager)
    with pytest.raises(ConfigError, match="task_always_eager"):
        joining.application(joining.name_of(eager))
    with pytest.raises(ConfigError, match=r"call distbelief.celery.join\(app\)"):
        joining.application(joining.name_of(made()))
    with pytest.raises(ConfigError, match="module cannot be imported"):
        joining.application("no.such.module")
    with pytest.raises(ConfigError, match="must name a queue for downpour, sandblaster"):
        joining.join(made(), {"downpour": "long"})


@pytest.mark.parametrize(
    ("accepted", "own", "ours"),
    [
        (["json"], "json", "json"),
        (["pickle", "json"], "pickle", "json"),
        (["yaml"], "yaml", "yaml"),
    ],
)
def test_messages_are_json_or_what_the_workers_take(
    accepted: list[str], own: str, ours: str
) -> None:
    app = Celery("shop", set_as_current=False)
    app.conf.update(accept_content=accepted, task_serializer=own)
    assert joining.serializer_of(app) == ours


def test_nothing_of_ours_is_pickled() -> None:
    app = Celery("shop", set_as_current=False)
    app.conf.update(accept_content=["pickle"], task_serializer="pickle")
    with pytest.raises(ConfigError, match="add 'json' to its accept_content"):
        joining.serializer_of(app)


def test_the_memory_of_another_process_is_no_broker() -> None:
    app = made("memory://")
    joining.join(app, control=REDIS)
    with pytest.raises(ConfigError, match="which no other process reaches, and no worker runs"):
        joining.application(joining.name_of(app))


def test_an_application_is_called_as_others_find_it(monkeypatch: pytest.MonkeyPatch) -> None:
    app = made()
    for module in ("__main__", "__mp_main__", "shop.celery"):
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
        vars(sys.modules[module])["app"] = app
    assert joining.name_of(app) == "shop.celery:app"


def test_a_run_that_goes_on_has_its_parameters_where_they_are() -> None:
    app = made("redis://:secret@host:6379/1")
    joining.join(app)
    name = joining.name_of(app)
    for known, expected in {
        ("redis://one:6379", "redis://two:6379"): ("redis://one:6379", "redis://two:6379"),
        ("redis://host:6379/1",): ("redis://:secret@host:6379/1",),
        (): ("redis://:secret@host:6379/1",),
    }.items():
        settings: dict[str, object] = {"celery_app": name}
        complete(settings, known)
        assert settings["parameter_servers"] == expected
