"""``make screenshots``: the README's pictures of the Dagster UI and of the report, taken anew of the last night.

Needs Chromium, and a data directory whose night has been published; AVILA_DATA_DIR names another than ``data``.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from orchestration.settings import PROJECT_ROOT, Settings

PICTURES = PROJECT_ROOT / ".github" / "screenshots"
PAGES = {
    "lineage": "/assets/marts/sessions?view=lineage",
    "mart": "/assets/marts/funnel_steps",
}
SECONDS_TO_LOAD = 25


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(url: str, seconds: float = 120) -> None:
    """Wait until a page answers.

    Raises:
        TimeoutError: It does not.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(url, timeout=5)
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(1)
    raise TimeoutError(f"{url} did not answer within {seconds:.0f} s")


def take(browser: str, url: str, picture: Path, *, height: int = 900) -> None:
    """Load a page in a window of its own and save what it shows."""
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                *(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
                *("--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars"),
                *(f"--user-data-dir={profile}", f"--window-size=1400,{height}"),
                *(f"--timeout={SECONDS_TO_LOAD * 1000}", f"--virtual-time-budget={SECONDS_TO_LOAD * 1000}"),
                *(f"--screenshot={picture}", url),
            ],
            check=True,
            capture_output=True,
            timeout=180,
        )


def main() -> int:
    """Take every picture; gives 2 where something is missing."""
    settings = Settings()
    browser = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    report = settings.published / "report.html"
    if browser is None or not report.exists():
        missing = (
            "there is no Chromium on the path" if browser is None else f"{report} is missing: run `make run` first"
        )
        sys.stderr.write(f"No picture was taken: {missing}.\n")
        return 2
    PICTURES.mkdir(parents=True, exist_ok=True)
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "orchestration.ui"],
        cwd=PROJECT_ROOT,
        env={**os.environ, "AVILA_UI_PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/server_info")
        for name, page in PAGES.items():
            take(browser, f"http://127.0.0.1:{port}{page}", PICTURES / f"{name}.png")
        take(browser, report.resolve().as_uri(), PICTURES / "report.png", height=1400)
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
    return 0


if __name__ == "__main__":
    sys.exit(main())
