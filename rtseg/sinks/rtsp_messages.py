"""RTSP's requests and answers, and the two ways of proving who one is.

Source: RFC 2326 (RTSP 1.0), RFC 7617 (Basic), RFC 7616 (Digest).
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

HASHES: Final = {"MD5": "md5", "SHA-256": "sha256"}
MOST_HEADER_BYTES: Final = 65_536
_FIELD: Final = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to one request."""

    status: int
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case; of several with one name, all, one a line."""


class AnswerReader:
    """Takes RTSP answers out of a connection, and throws away what else is in it (reports of the receiver)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, content: bytes) -> list[Answer]:
        """Return the answers that these bytes complete.

        Raises:
            ValueError: the peer does not speak RTSP.
        """
        self._rest += content
        found: list[Answer] = []
        while self._rest:
            if self._rest[:1] == b"$":
                if len(self._rest) < 4 or len(self._rest) < 4 + int.from_bytes(self._rest[2:4], "big"):
                    return found
                self._rest = self._rest[4 + int.from_bytes(self._rest[2:4], "big") :]
                continue
            answer = self._answer()
            if answer is None:
                return found
            found.append(answer)
        return found

    def _answer(self) -> Answer | None:
        head, end, _ = self._rest.partition(b"\r\n\r\n")
        if not end:
            if len(self._rest) > MOST_HEADER_BYTES or not b"RTSP/"[: len(self._rest)] == self._rest[:5]:
                raise ValueError("no RTSP answer")
            return None
        lines = head.decode(errors="replace").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            headers[name] = f"{headers[name]}\n{value.strip()}" if name in headers else value.strip()
        length = int(headers.get("content-length", "0"))
        if len(self._rest) < len(head) + 4 + length:
            return None
        self._rest = self._rest[len(head) + 4 + length :]
        words = lines[0].split(" ", 2)
        if not words[0].startswith("RTSP/") or len(words) < 2 or not words[1].isdigit():
            raise ValueError("no RTSP answer")
        return Answer(int(words[1]), words[2] if len(words) > 2 else "", headers)


def request(method: str, url: str, number: int, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Return the bytes of one request."""
    lines = [f"{method} {url} RTSP/1.0", f"CSeq: {number}", "User-Agent: rtseg"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Credentials:
    """Proves who we are, in the way that the server asks for."""

    def __init__(self, user: str, password: str) -> None:
        self._user = user
        self._password = password
        self._challenge: dict[str, str] = {}
        self._uses = 0

    @property
    def asked(self) -> bool:
        """True once the server has asked for a proof."""
        return bool(self._challenge)

    def take_challenge(self, answer: Answer) -> bool:
        """Take the server's question; return whether it is one that can be answered."""
        offers = answer.headers.get("www-authenticate", "").split("\n")
        for kind in ("digest", "basic"):
            for offer in offers:
                if offer.lower().startswith(kind):
                    fields = {name.lower(): quoted or plain for name, quoted, plain in _FIELD.findall(offer)}
                    if kind == "basic" or fields.get("algorithm", "MD5").upper() in HASHES:
                        self._challenge = {"kind": kind, **fields}
                        return bool(self._user)
        return False

    def header(self, method: str, url: str) -> dict[str, str]:
        """Return the header of a request; empty as long as the server has asked for nothing."""
        if not self._challenge or not self._user:
            return {}
        if self._challenge["kind"] == "basic":
            proof = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
            return {"Authorization": f"Basic {proof}"}
        return {"Authorization": f"Digest {self._digest(method, url)}"}

    def _digest(self, method: str, url: str) -> str:
        asked = self._challenge
        realm, nonce, algorithm = asked.get("realm", ""), asked.get("nonce", ""), asked.get("algorithm", "")
        whose = self._hash(f"{self._user}:{realm}:{self._password}")
        what = self._hash(f"{method}:{url}")
        fields = {"username": self._user, "realm": realm, "nonce": nonce, "uri": url}
        if "auth" in asked.get("qop", "").split(","):
            self._uses += 1
            count, ours = f"{self._uses:08x}", os.urandom(8).hex()
            fields["response"] = self._hash(f"{whose}:{nonce}:{count}:{ours}:auth:{what}")
            fields["cnonce"] = ours
            tail = f", qop=auth, nc={count}"
        else:
            fields["response"] = self._hash(f"{whose}:{nonce}:{what}")
            tail = ""
        if "opaque" in asked:
            fields["opaque"] = asked["opaque"]
        tail += f", algorithm={algorithm}" if algorithm else ""
        return ", ".join(f'{name}="{value}"' for name, value in fields.items()) + tail

    def _hash(self, text: str) -> str:
        # The server chooses; RTSP servers in the field still ask for MD5.
        name = HASHES[self._challenge.get("algorithm", "MD5").upper()]
        return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()
