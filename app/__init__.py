"""The library that workers and coordinator share."""

if __name__ == "app":
    # In a checkout ``celery -A app worker`` imports this folder under its own name. It finds the
    # one application here, and no module of the folder comes into being a second time.
    from distbelief.app.celery import app as celery  # noqa: F401

    __path__ = []
