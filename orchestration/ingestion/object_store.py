"""An S3 object store through DuckDB's httpfs: how it is reached, and what its errors mean."""

import importlib.util
import re
from pathlib import Path
from urllib.parse import urlsplit

import duckdb

from orchestration.ingestion.faults import UnreadableFileError
from orchestration.settings import ObjectStore
from orchestration.sql import literal

_MAX_BLOB = (1 << 32) - 1
"""DuckDB reads an object as one value, which can hold no more bytes."""


class BucketError(UnreadableFileError):
    """A pattern that cannot be listed or an object that cannot be fetched; the message names it and the cure."""


class ChangedObjectError(BucketError):
    """An object that is no longer as it was listed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is still being written; it is left for the next load")


def open_store(pattern: str, *, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """A DuckDB that reads the buckets of the environment's store, and takes names for patterns.

    Args:
        pattern: For what it is opened first, to be named in errors.
        memory_limit: DuckDB's, as DuckDB spells it.

    Raises:
        BucketError: There is no httpfs, or the environment's variables are no use.
    """
    connection = duckdb.connect(
        config={
            "memory_limit": memory_limit,
            "threads": 1,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_persistent_secrets": False,
            # It would keep a second copy of each object in memory.
            "enable_external_file_cache": False,
        }
    )
    try:
        _load_httpfs(connection, pattern)
        secret = _secret(ObjectStore())
        try:
            connection.execute(secret)
        except duckdb.Error:
            # The error may cite the statement.
            raise BucketError(f"{pattern}: DuckDB cannot use the AWS_… environment variables") from None
    except BaseException:
        connection.close()
        raise
    return connection


def largest_object(connection: duckdb.DuckDBPyConnection) -> int:
    """How many bytes an object may have: it passes through memory in one piece, which is to leave room for another."""
    ((limit,),) = connection.execute("select parse_formatted_bytes(current_setting('memory_limit'))").fetchall()
    return min(int(limit) // 2, _MAX_BLOB)


def keys_of(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A second connection, on which `*`, `[` and `?` in an object's name are but characters."""
    cursor = connection.cursor()
    cursor.execute("set session s3_url_compatibility_mode = true")
    return cursor


def _packaged_httpfs() -> Path | None:
    """DuckDB's httpfs extension as the package `duckdb-extension-httpfs` brings it, if it is installed."""
    spec = importlib.util.find_spec("duckdb_extension_httpfs")
    places = (spec.submodule_search_locations if spec else None) or ()
    paths = (Path(place) / "extensions" / f"v{duckdb.__version__}" / "httpfs.duckdb_extension" for place in places)
    return next((path for path in paths if path.is_file()), None)


def _load_httpfs(connection: duckdb.DuckDBPyConnection, pattern: str) -> None:
    """Load the extension from its package, else the one that DuckDB has been given; never from the network."""
    path = _packaged_httpfs()
    try:
        connection.execute(f"load {literal(path)}" if path else "load httpfs")
    except duckdb.Error:
        raise BucketError(
            f"{pattern}: buckets are read with DuckDB's extension httpfs, which is not there for DuckDB "
            f"{duckdb.__version__}; install the Python package duckdb-extension-httpfs=={duckdb.__version__}"
        ) from None


def _secret(store: ObjectStore) -> str:
    """The statement that tells DuckDB where the buckets are and who asks.

    Raises:
        BucketError: A variable is no use.
    """
    options = {"type": "s3", "region": literal(store.region), "url_style": "'path'"}
    if (store.access_key_id is None) != (store.secret_access_key is None):
        raise BucketError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set both, or neither for public buckets")
    if store.access_key_id and store.secret_access_key:
        options["key_id"] = literal(store.access_key_id.get_secret_value())
        options["secret"] = literal(store.secret_access_key.get_secret_value())
        if store.session_token:
            options["session_token"] = literal(store.session_token.get_secret_value())
    if store.endpoint_url:
        try:
            url = urlsplit(store.endpoint_url)
            is_address = url.scheme in ("http", "https") and bool(url.hostname) and "@" not in store.endpoint_url
        except ValueError:
            is_address = False
        if not is_address:
            # It is not shown, as it may hold a login.
            raise BucketError("AWS_ENDPOINT_URL must be an address such as https://storage.example:9000")
        options["endpoint"] = literal(url.netloc + url.path.rstrip("/"))
        options["use_ssl"] = "true" if url.scheme == "https" else "false"
    return f"create secret ({', '.join(f'{name} {value}' for name, value in options.items())})"


def meaning(name: str, error: duckdb.Error) -> BucketError:
    """What an error means for a pattern or object. DuckDB's own words are left out where they may hold a key."""
    text = str(error)
    if text.startswith("HTTP Error: ETag"):
        return ChangedObjectError(name)
    if isinstance(error, duckdb.HTTPException):
        status = getattr(error, "status_code", 0)
        code = re.search(r"<Code>(\w+)</Code>", str(getattr(error, "body", "")))
        answer = f"HTTP {status}" + (f", {code[1]}" if code else "")
        match status:
            case 404:
                return BucketError(f"{name}: there is no such bucket or object ({answer}); check the name")
            case 401 | 403:
                return BucketError(
                    f"{name}: access is denied ({answer}); set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for "
                    f"temporary keys, AWS_SESSION_TOKEN to keys that may list the bucket and read its objects"
                )
            case 301 | 400:
                return BucketError(f"{name}: the request was refused ({answer}); set AWS_REGION to the bucket's region")
            case _:
                return BucketError(f"{name}: the endpoint fails ({answer}); load again later", may_pass=True)
    if isinstance(error, duckdb.OutOfMemoryException):
        return BucketError(f"{name}: does not fit in memory; raise AVILA_MEMORY_LIMIT, or split it")
    if "No space left" in text:
        return no_room(name)
    if "Could not" in text or "imeout" in text:
        said = f"{name}: the endpoint cannot be reached; check the network and AWS_ENDPOINT_URL"
        return BucketError(said, may_pass=True)
    said = f"{name}: cannot be read ({type(error).__name__}); load again, or mount the bucket"
    return BucketError(said, may_pass=True)


def no_room(name: str) -> BucketError:
    """That an object cannot be copied for want of room."""
    return BucketError(f"{name}: cannot be copied into the lake's directory; make room on its disk")
