"""How a run speaks: one line a message, as a terminal or a log file wants it."""

import logging

from dagster import Definitions, InitLoggerContext, logger


class _Plain(logging.Formatter):
    """The time, the step and what was said; Dagster's own prefix is dropped."""

    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", {})
        said = meta.get("orig_message") or record.getMessage()
        return f"{self.formatTime(record, '%H:%M:%S')}  {said}"


@logger(None, description="Plain lines on standard error.")
def console(_: InitLoggerContext) -> logging.Logger:
    """Informative messages and worse."""
    plain = logging.Logger("avila", level=logging.INFO)
    handler = logging.StreamHandler()
    handler.setFormatter(_Plain())
    plain.addHandler(handler)
    return plain


defs = Definitions(loggers={"console": console})
