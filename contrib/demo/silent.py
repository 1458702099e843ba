#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A TCP server on the loopback that accepts and never answers: the hung upstream of the demo.

Prints its port. Ends by itself after SECONDS, so that nothing is left behind.
"""
import socket
import sys
import time

SECONDS = 60


def main():
    deadline = time.monotonic() + SECONDS
    kept = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while time.monotonic() < deadline:
            server.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                kept.append(server.accept()[0])
            except (TimeoutError, socket.timeout):  # two classes before 3.10
                break


if __name__ == "__main__":
    sys.exit(main())
