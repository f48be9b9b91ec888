"""An S3 server over HTTP on this machine: moto's, which counts requests and can misbehave."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class S3Server:
    """A running server.

    Args:
        url: Of its endpoint.
        asked: ``METHOD PATH?QUERY`` of every request, in their order.
        answers: Status codes for the next requests that contain a text, in the place of an answer.
        gate: Parts that are sent wait here after ``open_for`` of them.
    """

    url: str = ""
    asked: list[str] = field(default_factory=list)
    answers: list[tuple[str, int]] = field(default_factory=list)
    open_for: int | None = None
    gate: threading.Event = field(default_factory=threading.Event)

    def parts(self) -> list[str]:
        """The parts that were sent."""
        return [line for line in self.asked if line.startswith("PUT") and "partNumber=" in line]

    def __call__(self, application):
        lock = threading.Lock()

        def answer(environ, start_response):
            line = "{REQUEST_METHOD} {PATH_INFO}?{QUERY_STRING}".format(**environ)
            with lock:
                self.asked.append(line)
                number = len(self.parts())
                fault = next((one for one in self.answers if one[0] in line), None)
                if fault is not None:
                    self.answers.remove(fault)
            if fault is not None:
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                start_response(f"{fault[1]} Fault", [("Content-Length", "0")])
                return [b""]
            if self.open_for is not None and "partNumber=" in line and number > self.open_for:
                self.gate.wait(60)
            return application(environ, start_response)

        return answer


@contextmanager
def serving() -> Iterator[S3Server]:
    """Start one; it ends with the context."""
    import moto.s3.models
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    found = S3Server()
    application = found(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, True, request_handler=MotoRequestHandler)
    found.url = "http://{}:{}".format(*server.server_address[:2])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moto.s3.models, "S3_UPLOAD_PART_MIN_SIZE", 1)
        yield found
    found.gate.set()
    server.shutdown()
    thread.join()
