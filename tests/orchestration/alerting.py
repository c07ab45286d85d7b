"""What alerts are tested with: nights to tell of, and a server on this machine that takes what is told."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
from dagster import AssetCheckResult, AssetCheckSeverity, DagsterInstance, Definitions, asset, asset_check

from orchestration.declarations import Declarations
from orchestration.house import House
from orchestration.settings import Settings

SOURCES = "sources:\n  web: {path: 'landing/*.csv'}\n"


class Http(ThreadingHTTPServer):
    """Takes posts; answers with the statuses it is given, then 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken: list[tuple[str, dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.asked = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/services/T0/B0/hidden"


class Handler(BaseHTTPRequestHandler):
    server: Http

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status == 200:
            self.server.taken.append((self.path, dict(self.headers), body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def house(root: Path, alerts: str) -> House:
    path = root / "avila.yml"
    path.write_text(SOURCES + "alerts:\n" + "".join(f"  {line}\n" for line in alerts.strip("\n").splitlines()))
    return House(settings=Settings(data_dir=root), declarations=Declarations.load(path))


def publish(
    root: Path,
    *,
    night: int,
    marts: str = "create table marts.marts.users as select 1 as user_key",
    hours_ahead: int = 0,
) -> None:
    """A published file, as good as new; the night before was published by a clock that may have been ahead."""
    path = root / "published" / "marts.duckdb"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema marts.marts; create schema marts.ops;" + marts)
        connection.execute(
            """
            create table marts.ops.publications as
            select
                'night ' || number as publication_id, number as publication_number,
                cast(now() at time zone 'UTC' as timestamp)
                + to_hours(case when number < $night then $hours_ahead else 0 end) as published_at
            from (select unnest(range($night - 1, $night + 1)) as number)
            """,
            {"night": night, "hours_ahead": hours_ahead},
        )


def run(
    instance: DagsterInstance, *, fails: bool = False, check_passes: bool = True, said: str = "9 % rejected"
) -> str:
    """A run of a job, with an asset and a check; gives its id."""

    @asset(key=["lake", "web"])
    def web() -> None:
        if fails:
            raise ValueError("the disk is full")

    @asset_check(asset=web, name="rejected_share_within_limit", blocking=True)
    def share() -> AssetCheckResult:
        return AssetCheckResult(passed=check_passes, severity=AssetCheckSeverity.ERROR, description=said)

    @asset(key=["published", "marts"], deps=[web])
    def marts() -> None:
        pass

    from dagster import define_asset_job

    defs = Definitions(assets=[web, marts], asset_checks=[share], jobs=[define_asset_job("nightly")])
    done = defs.resolve_job_def("nightly").execute_in_process(instance=instance, raise_on_error=False)
    return done.run_id


def told(http: Http) -> list[tuple[str, str]]:
    messages = [json.loads(body) for *_, body in http.taken]
    http.taken.clear()
    return [(message["state"], message["key"]) for message in messages]
