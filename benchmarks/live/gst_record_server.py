"""A GStreamer RTSP server that takes streams at /live; for benchmarks/live/sinks.py, run by the system's Python.

    python3 gst_record_server.py PORT [USER PASSWORD]

Needs gir1.2-gst-rtsp-server-1.0, python3-gi and GStreamer's good, bad and libav plugins. Prints "ready".
"""

from __future__ import annotations

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402  versions are chosen first

PIPELINE = (
    "( rtph264depay name=depay0 ! h264parse ! avdec_h264 ! fakesink sync=false "
    "rtpmp4gdepay name=depay1 ! aacparse ! fakesink sync=false )"
)
DIGEST = 2


def main() -> None:
    """Serve until killed."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    factory.set_launch(PIPELINE)
    if len(sys.argv) > 3:
        _protect(server, factory, sys.argv[2], sys.argv[3])
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


def _protect(server: object, factory: object, user: str, password: str) -> None:
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "publisher")
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    for right in ("access", "construct"):
        permissions.add_permission_for_role("publisher", f"media.factory.{right}", True)
    factory.set_permissions(permissions)


if __name__ == "__main__":
    main()
