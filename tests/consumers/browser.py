# SPDX-License-Identifier: Apache-2.0
"""A page in headless Chromium, over the pipe of its debugging protocol: no port, no driver."""
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--headless=new", "--no-first-run", "--disable-gpu", "--disable-extensions", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--no-proxy-server",
         # nothing but this machine has a name
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--window-size=1280,1000"]


def find():
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page; events holds all that was heard of it."""

    def __init__(self, program):
        self.profile = tempfile.mkdtemp(prefix="stallscope-chromium-")
        to_read, self.to = os.pipe()
        self.come, from_write = os.pipe()
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        script = 'exec 3<&%d 4>&%d; exec "$@"' % (to_read, from_write)
        self.process = subprocess.Popen(
            ["bash", "-c", script, "-", program, *FLAGS, *sandbox, "--remote-debugging-pipe",
             "--user-data-dir=" + self.profile, "about:blank"],
            pass_fds=(to_read, from_write), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(from_write)
        self.number, self.data, self.events, self.session = 0, b"", [], None

    def __enter__(self):
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")
        return self

    def __exit__(self, *_):
        os.close(self.to)  # it ends with its pipe
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.come)
        shutil.rmtree(self.profile, ignore_errors=True)

    def next(self):
        while b"\0" not in self.data:
            piece = os.read(self.come, 1 << 20)
            if not piece:
                raise EOFError("chromium ended")
            self.data += piece
        message, _, self.data = self.data.partition(b"\0")
        return json.loads(message)

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.next()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError("%s: %s" % (method, answer["error"]["message"]))
                return answer["result"]
            self.events.append(answer)

    def open(self, url):
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.until("document.readyState == 'complete' && location.href != 'about:blank'")

    def ask(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"].get("exception", {}).get("description")))
        return result["result"].get("value")

    def until(self, expression, seconds=30):
        end = time.monotonic() + seconds
        while not self.ask(expression):
            if time.monotonic() > end:
                raise TimeoutError(expression)
            time.sleep(0.05)

    def picture(self, path, height=None):
        if height:
            self.call("Emulation.setDeviceMetricsOverride", width=1280, height=height, deviceScaleFactor=1, mobile=False)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def requests(self):
        return [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]

    def complaints(self):
        """Of scripts, of the console, and of the policy of the page."""
        said = [e["params"]["entry"]["text"] for e in self.events if e["method"] == "Log.entryAdded"
                and e["params"]["entry"]["level"] in ("error", "warning")]
        said += [str(e["params"]["args"]) for e in self.events if e["method"] == "Runtime.consoleAPICalled"]
        return said + [str(e["params"]) for e in self.events if e["method"] == "Runtime.exceptionThrown"]


def browse():
    """A browser with a profile of its own, or None where there is none."""
    program = find()
    return Browser(program) if program else None
