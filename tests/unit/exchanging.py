"""The engine's side of one call of a session, without an engine: what a service sends, and how it ends the call.

call = Call();  service = secrets.begin(call, {});  call.tell(service, message);  call.sent, call.status, call.text
"""

from __future__ import annotations

from dockerlab.builds.session import Refused, Service
from dockerlab.errors import DockerlabError
from dockerlab.wire import grpc


class Call:
    """An `Exchange`. status: None until the call has ended."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.status: int | None = None
        self.text = ""

    def send(self, *messages: bytes) -> None:
        """See `Exchange`."""
        self.sent += messages

    def finish(self, status: int = grpc.OK, text: str = "") -> None:
        """See `Exchange`."""
        self.status, self.text = status, text

    def tell(self, service: Service, *messages: bytes) -> None:
        """Gives messages to the service, as a session does: what it raises ends the call."""
        for message in messages:
            if self.status is not None:
                return
            try:
                service.received(message)
            except DockerlabError as error:
                self.finish(error.grpc_status if isinstance(error, Refused) else grpc.UNKNOWN, error.message)
