"""Run the WSGI application on an ASGI server. A request gets a thread only once it is complete.

granian's own WSGI mode assigns a thread when the headers have arrived, and then waits for the body
without a timeout: as many slow connections as there are threads block the site. Here the event loop
waits for bodies and for slow readers, and a body has a maximum size and a maximum time.

Why not use what exists (granian 2.8.7): granian's RSGI mode buffers a whole download that nobody
reads (400 MB of memory for a file of 400 MB); its ASGI mode, which is used here, waits for the
reader. Django's ASGI handler uses a thread and a database connection per request and reads streamed
files into memory. asgiref's adapter has no limits. a2wsgi takes the thread first.
"""

from __future__ import annotations

import asyncio
import errno
import sys
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from people import proxy_faults, request_limits

THREADS = 8
IN_MEMORY = 2**18  # bytes; a longer body goes to a temporary file
BODY_SECONDS = 30  # timeout for a body ...
SLOWEST = 2**13  # ... plus one second for each this many bytes
READER_SECONDS = 60  # timeout for a reader that takes no data
BLOCK = 2**18  # bytes of a file per read
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)

Environ = dict[str, Any]
Receive = Callable[[], Awaitable[dict]]
Send = Callable[[dict], Awaitable[None]]


class Gone(Exception):
    """The client closed the connection or stopped reading."""


class Refused(Exception):
    """The body is refused. `status`: 413 for too large, 408 for too slow, 503 where the database
    that knows the sender is away, 507 where the disk is full.
    """

    def __init__(self, status: int):
        self.status = status


class File:
    """`wsgi.file_wrapper`: a file that the event loop sends, without a request thread."""

    def __init__(self, file: IO[bytes], block_size: int = BLOCK):
        self.read, self.close = file.read, file.close


class Gateway:
    """The ASGI application.

    `largest(environ)`: the maximum size of a body in bytes; called for large bodies only. It may
    raise Refused. `path`: the path of the site, PODIUM_PATH.
    """

    def __init__(self, wsgi: Callable, largest: Callable[[Environ], int], path: str = ""):
        self.wsgi, self.largest, self.path = wsgi, largest, path
        self.threads = ThreadPoolExecutor(THREADS, "request")
        self.leaves = False  # another process replaces this one: each response ends its connection

    async def __call__(self, scope: dict, receive: Receive, send: Send) -> None:
        environ = below(self.path, as_environ(scope))
        with SpooledTemporaryFile(IN_MEMORY) as body:
            environ["wsgi.input"] = body
            try:
                if has_body(environ):
                    await self.receive_body(environ, receive)
                await self.answer(environ, Sender(receive, send))
            except Gone:
                pass

    # The request

    async def receive_body(self, environ: Environ, receive: Receive) -> None:
        """Read the body within its limits. The application answers a refused one."""
        body = environ["wsgi.input"]
        try:
            await self.read(environ, receive)
        except Refused as refusal:
            environ[request_limits.REFUSED] = refusal.status
            body.seek(0)
            body.truncate()
        # a chunked body had no length before
        environ["CONTENT_LENGTH"] = str(body.tell())
        body.seek(0)

    async def read(self, environ: Environ, receive: Receive) -> None:
        """Write the body to `wsgi.input`. Raises Gone or Refused."""
        body, clock = environ["wsgi.input"], asyncio.get_running_loop().time
        until = clock() + BODY_SECONDS
        announced = int(environ.get("CONTENT_LENGTH") or -1)  # -1: unknown, as the body is chunked
        limit = await self.limit(environ, announced)
        try:
            async with asyncio.timeout_at(until) as timer:
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Gone
                    size = body.tell() + len(message["body"])
                    if size > limit:
                        limit = await self.limit(environ, size)
                    body.write(message["body"])
                    if not message["more_body"] or size == announced:
                        return
                    timer.reschedule(until + size / SLOWEST)
        except TimeoutError:
            raise Refused(408) from None
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            raise Refused(507) from None

    async def limit(self, environ: Environ, size: int) -> int:
        """The maximum size of this body. Raises Refused where `size` exceeds it.

        For a large body, the application looks up the sender first.
        """
        if size <= request_limits.SMALL:
            return request_limits.SMALL
        limit = await self.in_thread(self.largest, environ)
        if size > limit:
            raise Refused(413)
        return limit

    # The response

    async def answer(self, environ: Environ, sender: Sender) -> None:
        response = await self.in_thread(self.run, environ, sender)
        if isinstance(response, File):
            await self.send_file(response, sender)
        elif response is not None:
            await sender.send(response)

    def run(self, environ: Environ, sender: Sender) -> File | dict | None:
        """Run the application in a thread. Returns what the event loop has to send.

        A generator is sent from this thread, because it may use the thread's database connection.
        """

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> None:
            closes = self.leaves or request_limits.REFUSED in environ
            sender.start(int(status[:3]), headers + [("connection", "close")] * closes)

        response = self.wsgi(environ, start_response)
        if isinstance(response, File):
            return response
        try:
            if not getattr(response, "streaming", True):
                return part(b"".join(response), last=True)
            sender.send_all(response)
            return None
        finally:
            if hasattr(response, "close"):
                response.close()

    async def send_file(self, file: File, sender: Sender) -> None:
        loop = asyncio.get_running_loop()
        try:
            while block := await loop.run_in_executor(None, file.read, BLOCK):
                await sender.send_to_reader(part(block))
            await sender.send(part(b"", last=True))
        finally:
            await loop.run_in_executor(None, file.close)

    def in_thread(self, function: Callable, *arguments) -> Awaitable[Any]:
        return asyncio.get_running_loop().run_in_executor(self.threads, function, *arguments)


class Sender:
    """Sends one response, as long as the client reads it."""

    def __init__(self, receive: Receive, send: Send):
        self.receive, self._send, self.loop = receive, send, asyncio.get_running_loop()
        self.head: dict | None = None
        self.leaving: asyncio.Task | None = None

    def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Store the headers, which are sent with the first part."""
        lines = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
        ]
        self.head = {"type": "http.response.start", "status": status, "headers": lines}

    async def send(self, message: dict) -> None:
        if self.head:
            await self._send(self.head)
            self.head = None
        await self._send(message)

    async def send_to_reader(self, message: dict) -> None:
        """Send a part. Raises Gone once the reader has left or took no data for READER_SECONDS."""
        self.leaving = self.leaving or asyncio.ensure_future(self.disconnect())
        sending = asyncio.ensure_future(self.send(message))
        first = asyncio.FIRST_COMPLETED
        await asyncio.wait({sending, self.leaving}, timeout=READER_SECONDS, return_when=first)
        if not sending.done() or self.leaving.done():
            sending.cancel()
            raise Gone
        sending.result()

    def send_all(self, chunks: Iterable[bytes]) -> None:
        """Send all chunks from a thread, which waits for each one."""
        for chunk in chunks:
            asyncio.run_coroutine_threadsafe(self.send_to_reader(part(chunk)), self.loop).result()
        asyncio.run_coroutine_threadsafe(self.send(part(b"", last=True)), self.loop).result()

    async def disconnect(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


def part(body: bytes, last: bool = False) -> dict:
    return {"type": "http.response.body", "body": body, "more_body": not last}


def has_body(environ: Environ) -> bool:
    return environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ


def as_environ(scope: dict) -> Environ:
    """The WSGI environment of a request (PEP 3333)."""
    host, port = scope["server"] or ("localhost", 80)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 80),
        "REMOTE_ADDR": scope["client"][0] if scope["client"] else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": File,
    }
    return environ | as_variables(scope["headers"])


def below(path: str, environ: Environ) -> Environ:
    """The environment of a request whose path begins with that of the site, which the application
    does not see. Of another request it says so (people/middleware.py refuses it).
    """
    if not path:
        return environ
    requested = environ["PATH_INFO"]
    environ["SCRIPT_NAME"] = path
    if requested == path or requested.startswith(f"{path}/"):
        environ["PATH_INFO"] = requested.removeprefix(path) or "/"
    else:
        environ[proxy_faults.OUTSIDE] = True
    return environ


def as_variables(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by their CGI names, without names with an underscore, which could spoof others."""
    variables: dict[str, str] = {}
    for raw, value in headers:
        name = raw.decode("latin-1").upper()
        if "_" in name:
            continue
        name = name.replace("-", "_")
        name = name if name in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{name}"
        text = value.decode("latin-1")
        if name in variables:  # a repeated header
            separator = "; " if name == "HTTP_COOKIE" else ","
            text = variables[name] + separator + text
        variables[name] = text
    return variables
