"""The library that workers and coordinator share."""

from typing import Any

if __name__ == "app":
    # In a checkout ``celery -A app worker`` imports this folder under its own name. It finds the
    # one application here, and no module of the folder comes into being a second time.
    __path__ = []

    def __getattr__(name: str) -> Any:
        if name != "celery":
            raise AttributeError(f"module 'app' has no attribute {name!r}")
        from distbelief.celery import app

        return app
