# SPDX-License-Identifier: Apache-2.0
"""many.py N: as many loops, each in a thread of its own, waiting. They have no descriptors."""
import asyncio
import sys
import threading
import time

import truth

N = int(sys.argv[1])
RUNNING = threading.Barrier(N + 1)


class Selector:
    def select(self, timeout=None):
        RUNNING.wait()
        time.sleep(60)
        return []


class Loop(asyncio.BaseEventLoop):
    _selector = Selector()

    def _process_events(self, events):
        pass


threading.stack_size(256 * 1024)
for _ in range(N):
    threading.Thread(target=lambda: Loop().run_forever(), daemon=True).start()
RUNNING.wait()
truth.tell("many")
time.sleep(60)
