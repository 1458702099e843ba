# SPDX-License-Identifier: Apache-2.0
"""Real servers on the loopback, in a folder of their own, ended with the run.

They are started by the thread that lives as long as the run: it is the parent whose death ends
them.
"""
import ctypes
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1


def ends_with_parent(number):
    return lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def newest(pattern):
    found = sorted(glob.glob(pattern)) or [None]
    return found[-1]


class Unavailable(Exception):
    pass


class Server:
    """One server process; `prepare` and `command` say how, `end` is the signal that ends it soon."""

    end = signal.SIGTERM

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="stallscope-service-")
        self.port = free_port()
        self.log = open(self.folder + "/log", "w+b")
        self.process = None

    @staticmethod
    def user():
        """No server runs as root."""
        if os.geteuid() != 0:
            return {}
        nobody = pwd.getpwnam("nobody")
        return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def start(self):
        if os.geteuid() == 0:
            os.chown(self.folder, pwd.getpwnam("nobody").pw_uid, -1)
        self.prepare()
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        cwd=self.folder, preexec_fn=ends_with_parent(self.end), start_new_session=True,
                                        **self.user())
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise Unavailable(self.last_words())

    def once(self, *command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=self.folder,
                              check=False, timeout=120, **self.user())
        if done.returncode != 0:
            raise Unavailable(self.last_words())

    def last_words(self):
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return (lines or ["said nothing"])[-1][:150]

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.end)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def prepare(self):
        pass

    def tool(self, *patterns):
        for pattern in patterns:
            if newest(pattern):
                return newest(pattern)
        raise Unavailable("not installed")


class Postgres(Server):
    end = signal.SIGINT  # the other one waits for its clients

    def prepare(self):
        self.once(self.tool("/usr/lib/postgresql/*/bin/initdb"), "-D", self.folder + "/data", "-U", "postgres",
                  "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")

    def command(self):
        return [self.tool("/usr/lib/postgresql/*/bin/postgres"), "-D", self.folder + "/data", "-p", str(self.port),
                "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + self.folder, "-c", "fsync=off",
                "-c", "max_connections=200", "-c", "shared_buffers=16MB"]


class Mariadb(Server):
    def prepare(self):
        self.once(self.tool("/usr/bin/mariadb-install-db"), "--no-defaults", "--datadir=" + self.folder + "/data",
                  "--skip-test-db", "--innodb-log-file-size=4M")

    def command(self):
        return [self.tool("/usr/sbin/mariadbd"), "--no-defaults", "--datadir=" + self.folder + "/data",
                "--socket=" + self.folder + "/socket", "--port=%d" % self.port, "--bind-address=127.0.0.1",
                "--pid-file=" + self.folder + "/pid", "--skip-grant-tables", "--skip-name-resolve",
                "--innodb-log-file-size=4M", "--innodb-buffer-pool-size=16M"]


class Redis(Server):
    def command(self):
        return [self.tool("/usr/bin/redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                "--dir", self.folder]


KINDS = {"postgres": Postgres, "mariadb": Mariadb, "redis": Redis}


class Services:
    def __init__(self):
        self.running, self.failed = {}, {}

    def start(self, names):
        for name in sorted(set(names) - set(self.running) - set(self.failed)):
            server = KINDS[name]()
            try:
                server.start()
                self.running[name] = server
            except (Unavailable, OSError, subprocess.SubprocessError) as reason:
                self.failed[name] = str(reason)
                server.stop()

    def lack(self, needs):
        """Why one of them cannot be used, or None."""
        for need in needs:
            if need.startswith("service:") and need[8:] not in self.running:
                return "no service %s: %s" % (need[8:], self.failed.get(need[8:], "not started"))
        return None

    def addresses(self):
        return {"SCENARIO_" + name.upper(): "127.0.0.1:%d" % server.port for name, server in self.running.items()}

    def stop(self):
        for server in self.running.values():
            server.stop()
        self.running = {}
