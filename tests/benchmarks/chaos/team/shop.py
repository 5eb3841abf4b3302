"""A team's application as chaos has it: with settings that ours would not work with."""

from __future__ import annotations

import os

from celery import Celery

from distbelief.celery import join

PREFIX = "shop:"

app = Celery("shop", broker=os.environ["SHOP_BROKER"], backend=os.environ["SHOP_BROKER"])
app.conf.update(
    broker_transport_options={"global_keyprefix": PREFIX, "visibility_timeout": 5},
    task_serializer="pickle",
    accept_content=["pickle", "json"],
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=4,
    task_time_limit=20,
    task_soft_time_limit=10,
)
join(app, queue="training")
