"""A TLS end for the tests: a certificate that nobody trusts, and a server that hands on what it decrypts."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from pathlib import Path


def make_certificate(folder: Path) -> Path | None:
    """Write a key and a certificate into one file; None: there is no openssl."""
    if shutil.which("openssl") is None:
        return None
    path = folder / "both.pem"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run([*words.split(), "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + path.with_name("both.pem.crt").read_bytes())
    return path


class TlsEnd(threading.Thread):
    """Speaks TLS to one peer after the other; hands their bytes on to a plain port, or echoes them (None)."""

    def __init__(self, certificate: Path, plain_port: int | None = None):
        super().__init__(daemon=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.plain_port = plain_port
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]

    def run(self):
        while True:
            try:
                plain, _ = self.server.accept()
            except OSError:
                return
            with plain, suppress(OSError), self.context.wrap_socket(plain, server_side=True) as peer:
                self._serve(peer)

    def _serve(self, peer: ssl.SSLSocket) -> None:
        if self.plain_port is None:
            while content := peer.recv(65536):
                peer.sendall(content)
            return
        with socket.create_connection(("127.0.0.1", self.plain_port)) as inner:
            back = threading.Thread(target=_pass_on, args=(inner, peer), daemon=True)
            back.start()
            _pass_on(peer, inner)
            inner.shutdown(socket.SHUT_RDWR)
            back.join(2)

    def stop(self) -> None:
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.join(2)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
