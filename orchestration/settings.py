"""Every path and environment variable of Ávila, read once and frozen."""

import os
import shlex
import sys
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Literal

import duckdb
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parent.parent
DBT_PROJECT_DIR = PROJECT_ROOT / "dbt_project"
CODE_LOCATION = "avila"
"""What Dagster calls this project."""


class Settings(BaseSettings):
    """Where one warehouse lives and what it may use.

    Each field reads the environment variable of its name in upper case with the prefix ``AVILA_``; a second
    data directory is a second, fully isolated warehouse.
    """

    model_config = SettingsConfigDict(env_prefix="AVILA_", frozen=True, extra="ignore")

    data_dir: Path = PROJECT_ROOT / "data"
    memory_limit: str = Field(default="4GB", description="DuckDB's memory limit, as DuckDB spells it")
    ui_port: int = Field(default=3000, ge=1, le=65535, description="where `make ui` listens, on this machine only")
    ui_host: str = Field(default="127.0.0.1", description="where `make ui` listens; who reaches it may start runs")
    retry_seconds: float = Field(
        default=5, ge=0, description="before the first new try of what may pass; each later wait is twice as long"
    )
    tuning_seconds: float = Field(
        default=60, ge=0, description="what the search for a model's hyper-parameters may cost, about; 0 for none"
    )
    threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="of standard error: text on a terminal, and JSON lines elsewhere, or one of the two"
    )
    metrics_file: Path | None = Field(
        default=None, description="what node_exporter's textfile collector reads; by default below the data directory"
    )

    @field_validator("data_dir")
    @classmethod
    def _is_no_pattern_nor_url(cls, data_dir: Path) -> Path:
        # Dagster looks for its settings by a pattern, and would say nothing where it finds none; it takes its history's
        # path for a URL, as dbt-duckdb does the warehouse's.
        if set("*?[%#") & set(str(data_dir.expanduser().resolve())):
            raise ValueError("neither it nor a directory above it may have one of * ? [ % # in its name; rename it")
        return data_dir

    @field_validator("memory_limit")
    @classmethod
    def _is_what_duckdb_takes(cls, limit: str) -> str:
        try:
            duckdb.connect(config={"memory_limit": limit}).close()
        except duckdb.Error:
            raise ValueError("expected a size as DuckDB spells it, such as 4GB or 512MiB") from None
        return limit

    @classmethod
    def of_environment(cls) -> "Settings":
        """As the environment has them. Where a variable is wrong or misspelt, the process says so and ends with 2."""
        names = {f"AVILA_{field.upper()}" for field in cls.model_fields}
        # Names of a team's own are free to be others: avila.yml may ask for a secret by any.
        others = {name for name in map(str.upper, os.environ) if name.startswith("AVILA_")} - names
        misspelt = {name: near for name in sorted(others) if (near := get_close_matches(name, names, n=1, cutoff=0.85))}
        if misspelt:
            for name, (meant,) in misspelt.items():
                sys.stderr.write(f"{name}: there is no such setting; {meant} is one. Rename or unset it\n")
            raise SystemExit(2)
        try:
            return cls()
        except ValidationError as error:
            for detail in error.errors():
                said = detail["msg"].removeprefix("Value error, ")
                sys.stderr.write(f"AVILA_{str(detail['loc'][0]).upper()}={detail['input']}: {said}\n")
            raise SystemExit(2) from None

    def at(self, data_dir: Path) -> "Settings":
        """The same for another data directory."""
        return Settings(**{**self.model_dump(), "data_dir": data_dir})

    @cached_property
    def root(self) -> Path:
        """The data directory as an absolute path."""
        return self.data_dir.expanduser().resolve()

    def command(self, target: str) -> str:
        """A command of the Makefile as it is to be typed for this warehouse."""
        elsewhere = f"AVILA_DATA_DIR={shlex.quote(str(self.root))} " if "data_dir" in self.model_fields_set else ""
        return f"{elsewhere}make {target}"

    @property
    def declarations(self) -> Path:
        """``avila.yml``, the one file an analyst edits."""
        return self.root / "avila.yml"

    @property
    def landing(self) -> Path:
        """Where dumps arrive."""
        return self.root / "landing"

    @property
    def lake(self) -> Path:
        """Canonical Parquet, rejects and the catalogue of loads."""
        return self.root / "lake"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file only the nightly run opens."""
        return self.root / "warehouse" / "warehouse.duckdb"

    @property
    def models(self) -> Path:
        """The model registry."""
        return self.root / "models"

    @property
    def published(self) -> Path:
        """What people query and read: ``marts.duckdb``, ``parquet/``, ``report.html`` and ``pictures/``."""
        return self.root / "published"

    @property
    def docs(self) -> Path:
        """The documentation that dbt writes, one page."""
        return self.root / "warehouse" / "docs.html"

    @property
    def data_docs(self) -> Path:
        """What Great Expectations last found, as a page; not published, as it tells of nights that were not."""
        return self.root / "warehouse" / "data_docs"

    @property
    def alerts(self) -> Path:
        """Which alerts are open, and which messages wait to be sent."""
        return self.root / "warehouse" / "alerts.sqlite"

    @property
    def metrics(self) -> Path:
        """The last night in figures, as Prometheus reads them."""
        return self.metrics_file.expanduser().resolve() if self.metrics_file else self.root / "metrics" / "avila.prom"

    @property
    def dagster_home(self) -> Path:
        """Dagster's run history and logs."""
        return self.root / "warehouse" / "dagster"


class ObjectStore(BaseSettings):
    """Where S3 buckets are and who asks for them, in the environment variables that AWS's own tools read."""

    model_config = SettingsConfigDict(
        env_prefix="AWS_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    region: str = Field(default="us-east-1", validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION"))
    endpoint_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        description="of a store other than AWS's own, such as https://storage.example:9000",
    )
