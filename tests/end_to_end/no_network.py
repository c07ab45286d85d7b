"""A command without a network, and a record of all that it would have used one for.

Where the kernel lets us, the command has a network of its own that leads nowhere, and the kernel's counters say whether
anything was to go out, from whatever language. In Python, all that opens a connection or asks for a name is noted, and
refused.
"""

import shutil
import subprocess
from functools import cache
from pathlib import Path

_GUARD = """
import errno, os, sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1] if len(arguments) > 1 else None
        if address is None or isinstance(address, (str, bytes)):
            return  # of a socket that is connected already, or a file
    elif event not in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        return
    with open(os.environ["NETWORK_ASKED_FOR"], "a") as file:
        file.write(f"{event} {address if event.startswith(('socket.c', 'socket.s')) else arguments[:2]}\\n")
    raise OSError(errno.ENETUNREACH, "this command has no network")

sys.addaudithook(refuse)
"""
_COUNT = 'set +e; "$@"; code=$?; cat /proc/net/snmp /proc/net/snmp6 > "$NETWORK_COUNTERS" 2>/dev/null; exit $code'


@cache
def is_cut_by_the_kernel() -> bool:
    """Whether commands may have a network of their own here."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode == 0


class NoNetwork:
    """Without a network.

    Args:
        folder: For what is noted.
    """

    def __init__(self, folder: Path) -> None:
        self._asked, self._counters = folder / "asked", folder / "counters"
        (folder / "guard").mkdir()
        (folder / "guard" / "sitecustomize.py").write_text(_GUARD)
        self._guard = folder / "guard"

    def command(self, *words: str) -> list[str]:
        return ["unshare", "-rn", "sh", "-c", _COUNT, "sh", *words] if is_cut_by_the_kernel() else [*words]

    def environment(self, environment: dict[str, str]) -> dict[str, str]:
        return {
            **environment,
            "PYTHONPATH": f"{self._guard}:{environment.get('PYTHONPATH', '')}".rstrip(":"),
            "NETWORK_ASKED_FOR": str(self._asked),
            "NETWORK_COUNTERS": str(self._counters),
        }

    def asked_for(self) -> list[str]:
        """What Python asked for, and how many packets found no way out."""
        noted = self._asked.read_text().splitlines() if self._asked.exists() else []
        if not is_cut_by_the_kernel():
            return noted
        lines = self._counters.read_text().splitlines()
        heads, figures = (line.split() for line in lines if line.startswith("Ip:"))
        counted = dict(zip(heads, figures, strict=True))
        counted |= dict(line.split()[:2] for line in lines if line.startswith("Ip6"))
        return noted + [
            f"{name}: {counted[name]}"
            for name in ("OutNoRoutes", "OutRequests", "Ip6OutNoRoutes", "Ip6OutRequests")
            if int(counted.get(name, 0))
        ]
