"""A small S3 on the loopback address: lists, describes and gives objects to whoever signs as S3 wants it."""

import hashlib
import hmac
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

KEY_ID = "AKIDFORTESTS"
SECRET = "wJalr/secret+of'tests"
TOKEN = "token/of+tests=="

LONG_AGO = 1_700_000_000.0


@dataclass
class Stored:
    content: bytes
    changed: float = LONG_AGO


@dataclass
class Storage:
    """What the server holds and was asked.

    Attributes:
        buckets: Objects by key, by bucket.
        public: Buckets that ask for no signature.
        asked: Method and path of every request; a listing ends in `?prefix=…`.
        before: Called with method and key before an object's request is answered.
        page: How many objects a listing's page holds.
    """

    buckets: dict[str, dict[str, Stored]] = field(default_factory=lambda: {"dumps": {}})
    public: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    before: Callable[[str, str], None] | None = None
    page: int = 1000

    def put(self, key: str, content: bytes | str, *, changed: float = LONG_AGO, bucket: str = "dumps") -> None:
        text = content.encode() if isinstance(content, str) else content
        self.buckets.setdefault(bucket, {})[key] = Stored(text, changed)

    def requests(self, method: str) -> list[str]:
        """The paths asked for with one method; `LIST` stands for listings."""
        return [path for said, path in (line.split(" ", 1) for line in self.asked) if said == method]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    storage: Storage

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        url = urlsplit(self.path)
        bucket, _, key = unquote(url.path).lstrip("/").partition("/")
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        is_list = "list-type" in query
        self.storage.asked.append(
            f"LIST {bucket}/?prefix={query.get('prefix', '')}" if is_list else f"{self.command} {bucket}/{key}"
        )
        if not is_list and self.storage.before:
            self.storage.before(self.command, key)
        if bucket not in self.storage.public and (refusal := self._refusal(url.path, query)):
            self._error(403, refusal)
        elif bucket not in self.storage.buckets:
            self._error(404, "NoSuchBucket")
        elif is_list:
            self._list(bucket, query)
        elif key not in self.storage.buckets[bucket]:
            self._error(404, "NoSuchKey")
        else:
            self._give(self.storage.buckets[bucket][key])

    def _refusal(self, path: str, query: dict[str, str]) -> str | None:
        """What is wrong with the request's signature, reckoned anew."""
        said = self.headers.get("Authorization", "")
        if not said:
            return "AccessDenied"
        parts = dict(part.strip().split("=", 1) for part in said.removeprefix("AWS4-HMAC-SHA256").split(","))
        key_id, scope = parts["Credential"].split("/", 1)
        if key_id != KEY_ID or self.headers.get("x-amz-security-token", TOKEN) != TOKEN:
            return "InvalidAccessKeyId"
        names = parts["SignedHeaders"].split(";")
        request = "\n".join(
            [
                self.command,
                path,
                "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query.items())),
                *(f"{name}:{self.headers[name].strip()}" for name in names),
                "",
                parts["SignedHeaders"],
                self.headers["x-amz-content-sha256"],
            ]
        )
        hashed = hashlib.sha256(request.encode()).hexdigest()
        signing = f"AWS4{SECRET}".encode()
        for step in scope.split("/"):
            signing = hmac.digest(signing, step.encode(), "sha256")
        text = "\n".join(["AWS4-HMAC-SHA256", self.headers["x-amz-date"], scope, hashed])
        good = hmac.new(signing, text.encode(), "sha256").hexdigest()
        return None if good == parts["Signature"] else "SignatureDoesNotMatch"

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        after = query.get("continuation-token", "")
        prefix = query.get("prefix", "")
        held = sorted(key for key in self.storage.buckets[bucket] if key.startswith(prefix) and key > after)
        page, rest = held[: self.storage.page], held[self.storage.page :]
        contents = "".join(
            f"<Contents><Key>{quote(key, safe='/')}</Key>"
            f"<LastModified>{datetime.fromtimestamp(stored.changed, UTC):%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<ETag>&quot;{hashlib.md5(stored.content).hexdigest()}&quot;</ETag>"
            f"<Size>{len(stored.content)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key, stored in ((key, self.storage.buckets[bucket][key]) for key in page)
        )
        more = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if rest else ""
        self._send(
            200,
            f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult><Name>{bucket}</Name>'
            f"<EncodingType>url</EncodingType><KeyCount>{len(page)}</KeyCount>"
            f"<IsTruncated>{'true' if rest else 'false'}</IsTruncated>{more}{contents}</ListBucketResult>".encode(),
            {"Content-Type": "application/xml"},
        )

    def _give(self, stored: Stored) -> None:
        changed = datetime.fromtimestamp(stored.changed, UTC)
        headers = {
            "Last-Modified": f"{changed:%a, %d %b %Y %H:%M:%S GMT}",
            "ETag": f'"{hashlib.md5(stored.content).hexdigest()}"',
            "Accept-Ranges": "bytes",
        }
        asked = self.headers.get("Range")
        if not asked:
            self._send(200, stored.content, headers)
            return
        first, last = asked.removeprefix("bytes=").split("-")
        part = stored.content[int(first) : int(last) + 1 if last else None]
        headers["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(stored.content)}"
        self._send(206, part, headers)

    def _error(self, status: int, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>No.</Message><AWSAccessKeyId>{KEY_ID}</AWSAccessKeyId></Error>"
        self._send(status, body.encode(), {"Content-Type": "application/xml"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Server:
    """Serves a storage on a port of its own until it is closed."""

    def __init__(self) -> None:
        self.storage = Storage()
        handler = type("Handler", (_Handler,), {"storage": self.storage})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
