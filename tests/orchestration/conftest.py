"""A server for alerts, and no waiting where one does not answer."""

from collections.abc import Iterator

import pytest

from orchestration.alerts import delivery
from tests.orchestration.alerting import Http


@pytest.fixture
def http() -> Iterator[Http]:
    server = Http()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
