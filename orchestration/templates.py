"""The pages' templates, strict: a value that is missing is an error, and every value is escaped."""

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from orchestration.settings import PROJECT_ROOT


def templates() -> Environment:
    """An environment that finds the templates beside this file."""
    return Environment(
        loader=FileSystemLoader(PROJECT_ROOT / "orchestration"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
