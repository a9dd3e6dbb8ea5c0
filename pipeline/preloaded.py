"""All that a worker imports, for the process that workers are forked from (workers.py); nothing else imports this."""

import logging

logging.getLogger().addHandler(logging.NullHandler())  # or the first warning of an import installs one that prints

import apache_beam.runners.worker.sdk_worker_main  # noqa: E402, F401

import pipeline.run  # noqa: E402, F401
