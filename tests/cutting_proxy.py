"""A proxy before a server that cuts connections at chosen messages: before they arrive, or before their answer does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Literal

Loss = Literal["request", "answer"]


class CuttingProxy:
    """Passes on what clients send to a server on this machine, until told to cut.

    Args:
        port: Port of the server.

    Attributes:
        port: Port for clients.
        cut: Asked with every message of a client; says what is lost with the connection, None: nothing.
        cuts: How many connections were cut.
    """

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self.cut: Callable[[bytes], Loss | None] = lambda message: None
        self.cuts = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
            except OSError:
                return
            lost = threading.Event()  # the answer to a message that was passed on
            threading.Thread(target=self._requests, args=(client, server, lost), daemon=True).start()
            threading.Thread(target=self._answers, args=(client, server, lost), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        try:
            while message := client.recv(1 << 20):
                with self._lock:
                    loss = self.cut(message)
                    self.cuts += loss is not None
                if loss == "request":
                    break
                if loss == "answer":
                    lost.set()
                server.sendall(message)
                if loss == "answer":
                    return  # the other thread ends both when the answer is there
        except OSError:
            pass
        _end(client, server)

    def _answers(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        try:
            while message := server.recv(1 << 20):
                if lost.is_set():
                    break
                client.sendall(message)
        except OSError:
            pass
        _end(client, server)


def _end(*ends: socket.socket) -> None:
    for end in ends:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue
        finally:
            end.close()
