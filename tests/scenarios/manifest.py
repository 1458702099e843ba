# SPDX-License-Identifier: Apache-2.0
"""The truth about every scenario: what has to be said about cases/FILE.py's FUNCTION.

A row is state("FILE.FUNCTION", verdict, kinds, ...). Written from what the code does, not from
what the program says of it. Where two answers are both right, both stand here.

verdict   the word, or several
kinds     accepted kinds, globs; None: a verdict without a kind, or none is demanded
library   accepted values of what.library; ANY: not demanded (the C call has no library)
who       True: the function, file and line of the target's truth; None: nobody is to be named
also      more functions that may be named
peer      True: what.peer is the truth's; path, holder likewise
flags     have to be there
loops     the verdicts of all loops, sorted
needs     modules; service:NAME, tool:NAME, root, resolver, cgroup:CONTROLLER
settle    seconds from the truth to the look
cpu       the target burns a CPU: such ones run one at a time
core      belongs to the core that every interpreter runs
heavy     needs packages that are too large for CI
"""
ANY = object()
STATES = []


class State:
    def __init__(self, name, verdict, kinds=None, library=ANY, who=True, also=(), peer=False, path=False,
                 holder=False, flags=(), loops=None, needs="", settle=0.6, cpu=False, core=False,
                 heavy=False, minor=8):
        self.name = name
        self.file, _, self.function = name.partition(".")
        self.verdicts = verdict.split()
        self.kinds = kinds.split() if isinstance(kinds, str) else kinds
        self.library = library.split() if isinstance(library, str) else library
        self.who, self.also = who, also
        self.peer, self.path, self.holder = peer, path, holder
        self.flags, self.loops = flags, loops
        self.needs = needs.split()
        self.settle, self.cpu, self.core, self.heavy, self.minor = settle, cpu, core, heavy, minor


def state(name, verdict, kinds=None, **rest):
    STATES.append(State(name, verdict, kinds, **rest))


def stalled(name, kinds, library=ANY, **rest):
    """kinds without a dot in front: blocked.CATEGORY."""
    state(name, "STALLED", " ".join("blocked." + kind for kind in kinds.split()), library=library, **rest)


def burning(name, kinds, library=ANY, **rest):
    state(name, "STALLED", kinds, library=library, cpu=True, **rest)


def calm(name, verdict="HEALTHY", kinds=None, **rest):
    rest.setdefault("who", ANY if "WAITING" in verdict else None)
    state(name, verdict, kinds, **rest)


# ---- sockets, TLS, DNS, HTTP, mail: the standard library ----------------------------------------

stalled("net.recv", "io.socket", peer=True, core=True)
stalled("net.recv_into", "io.socket", peer=True)
stalled("net.recv_timeout", "io.socket", peer=True, core=True)
stalled("net.recvfrom_udp", "io.socket")
stalled("net.recv_unix", "io.socket")
stalled("net.makefile", "io.socket", peer=True)
stalled("net.accept", "io.socket")
stalled("net.connect", "io.socket", peer=True)
stalled("net.create_connection", "io.socket", "socket", peer=True)
stalled("net.create_connection_timeout", "io.socket", "socket", peer=True, core=True)
stalled("net.sendall", "io.socket", peer=True, core=True)
stalled("net.select_one", "io.socket", peer=True)
stalled("net.poll_one", "io.socket", peer=True)
stalled("net.socketserver_request", "io.socket", "socketserver")
stalled("net.telnet", "io.socket", "telnetlib", peer=True, needs="telnetlib")
stalled("net.handshake", "io.tls", "ssl", peer=True, core=True)
stalled("net.handshake_timeout", "io.tls", "ssl", peer=True)
stalled("net.https", "io.http io.tls", "urllib.request urllib", peer=True)
stalled("net.getaddrinfo", "io.dns", "socket", peer=True, needs="resolver", core=True)
stalled("net.gethostbyname", "io.dns", peer=True, needs="resolver")
stalled("net.gethostbyaddr", "io.dns", peer=True, needs="resolver")
stalled("net.getfqdn", "io.dns", "socket", peer=True, needs="resolver")
stalled("net.urlopen_by_name", "io.dns io.http", "urllib.request urllib", peer=True, needs="resolver")
stalled("net.http_client", "io.http", "http.client http", peer=True, core=True)
stalled("net.http_client_connect", "io.http", "http.client http", peer=True)
stalled("net.http_client_body", "io.http", "http.client http", peer=True)
stalled("net.urlopen", "io.http", "urllib.request urllib", peer=True, core=True)
stalled("net.urlopen_timeout", "io.http", "urllib.request urllib", peer=True)
stalled("net.urlopen_in_helpers", "io.http", "urllib.request urllib", peer=True)
stalled("net.xmlrpc_call", "io.rpc", "xmlrpc.client xmlrpc", peer=True)
stalled("net.smtp", "io.mail", "smtplib", peer=True)
stalled("net.smtp_ehlo", "io.mail", "smtplib", peer=True)
stalled("net.imap", "io.mail", "imaplib", peer=True)
stalled("net.pop", "io.mail", "poplib", peer=True)
stalled("net.ftp", "io.mail", "ftplib", peer=True)
stalled("net.manager", "io.rpc", "multiprocessing.managers multiprocessing")

# ---- files, pipes, locks of files, children ---------------------------------------------------------

stalled("files.open_fifo", "file.read", core=True)
stalled("files.read_pipe", "file.read", core=True)
stalled("files.buffered_read", "file.read")
stalled("files.text_readline", "file.read")
stalled("files.text_read", "file.read")
stalled("files.path_read_text", "file.read", "pathlib")
stalled("files.ask", "file.read")
stalled("files.write_pipe", "file.write", core=True)
stalled("files.write_file_object", "file.write")
stalled("files.print_pipe", "log.write", core=True)
stalled("files.log_pipe", "log.write", "logging", core=True)
stalled("files.log_lock", "lock.thread", "logging")
state("files.fsync_often", "STALLED")
stalled("files.flock", "file.lock", path=True)
stalled("files.lockf", "file.lock", path=True)
stalled("files.file_lock", "file.lock", "filelock", needs="filelock")
state("files.walk", "STALLED", "*.file.walk", library="os", cpu=True)
state("files.glob_all", "STALLED", "*.file.walk", library="glob", cpu=True)
state("files.rglob", "STALLED", "*.file.walk", library="pathlib", cpu=True)
state("files.copytree", "STALLED", "*.file.walk *.file.write", library="shutil", cpu=True)
stalled("files.copy_slowly", "file.read file.write", "shutil")
stalled("files.subprocess_run", "proc.wait", "subprocess", core=True)
stalled("files.subprocess_wait", "proc.wait", "subprocess")
stalled("files.subprocess_wait_timeout", "proc.wait", "subprocess")
stalled("files.communicate", "proc.wait", "subprocess")
stalled("files.check_output", "proc.wait", "subprocess")
stalled("files.system", "proc.wait", core=True)
stalled("files.popen_read", "file.read proc.wait")
stalled("files.waitpid", "proc.wait")
stalled("files.process_join", "proc.wait", "multiprocessing.process multiprocessing")
stalled("files.expect", "proc.wait", "pexpect", needs="pexpect")

# ---- sleeping, locks, queues, futures -------------------------------------------------------------

stalled("threads.sleep", "sleep", core=True)
stalled("threads.sleep_shortly", "sleep")
stalled("threads.sleep_in_helper", "sleep")
stalled("threads.pause", "sleep")
stalled("threads.sigwait", "sleep")
stalled("threads.callback", "sleep", core=True)
stalled("threads.timer_callback", "sleep")
stalled("threads.signal_callback", "sleep")
stalled("threads.finaliser", "sleep")
stalled("threads.protocol", "sleep")
stalled("threads.generator", "sleep")
stalled("threads.lock_acquire", "lock.thread", core=True)
stalled("threads.lock_with", "lock.thread")
stalled("threads.lock_timeout", "lock.thread")
stalled("threads.rlock", "lock.thread")
stalled("threads.condition", "lock.thread", "threading")
stalled("threads.event", "lock.thread", "threading", core=True)
stalled("threads.event_timeout", "lock.thread", "threading")
stalled("threads.semaphore", "lock.thread", "threading")
stalled("threads.barrier", "lock.thread", "threading")
stalled("threads.join", "lock.thread", "threading", core=True)
stalled("threads.queue_get", "queue.thread", "queue", core=True)
stalled("threads.queue_get_timeout", "queue.thread", "queue")
stalled("threads.queue_put", "queue.thread", "queue")
stalled("threads.queue_join", "queue.thread", "queue")
stalled("threads.simple_queue", "queue.thread")
stalled("threads.process_queue", "queue.process", "multiprocessing.queues multiprocessing")
stalled("threads.process_lock", "lock.process")
stalled("threads.process_event", "lock.process lock.thread")
stalled("threads.process_pool", "future.wait", "multiprocessing.pool multiprocessing")
stalled("threads.pipe_recv", "io.socket file.read queue.process")
stalled("threads.future_result", "future.wait", "concurrent.futures concurrent concurrent.futures._base", core=True)
stalled("threads.futures_wait", "future.wait", "concurrent.futures concurrent concurrent.futures._base")
stalled("threads.as_completed", "future.wait", "concurrent.futures concurrent concurrent.futures._base")
stalled("threads.executor_map", "future.wait", "concurrent.futures concurrent concurrent.futures._base")
stalled("threads.executor_exit", "future.wait", "concurrent.futures concurrent concurrent.futures.thread "
        "concurrent.futures._base")
stalled("threads.executor_shutdown", "future.wait", "concurrent.futures concurrent concurrent.futures.thread")
stalled("threads.process_executor", "future.wait", "concurrent.futures concurrent concurrent.futures._base")
stalled("threads.import_slow", "import sleep", also=("<module>",))
stalled("threads.import_locked", "import", settle=0.8)
state("threads.debugger", "STALLED", "debugger", core=True)
state("threads.debugger_tty", "STALLED", "debugger")
state("threads.nested_selector", "STALLED", "nested blocked.loop.nested blocked.io.socket")
state("threads.nested_run", "STALLED", "nested", core=True)
stalled("threads.nested_new_thread", "future.wait", "concurrent.futures concurrent concurrent.futures._base")

# ---- deadlocks ----------------------------------------------------------------------------------------

state("threads.deadlock_future", "DEADLOCK", "future", core=True)
state("threads.deadlock_future_helper", "DEADLOCK", "future")
state("threads.deadlock_threads", "DEADLOCK", "threads", core=True)
state("threads.deadlock_threads_with", "DEADLOCK", "threads")
state("threads.deadlock_loops", "DEADLOCK", "threads")
stalled("threads.lock_of_busy_thread", "lock.thread", core=True)
stalled("threads.result_of_other_loop", "future.wait", core=True)

# ---- the GIL, several loops ---------------------------------------------------------------------------

state("threads.gil_regex", "STARVED", "gil", who=ANY, cpu=True, core=True)
state("threads.gil_pow", "STARVED", "gil", who=ANY, cpu=True)
state("threads.gil_convoy", "STARVED", "gil", who=ANY, cpu=True)
stalled("threads.two_loops", "sleep", loops=["HEALTHY", "STALLED"], core=True)
stalled("threads.loop_in_thread", "sleep")
calm("threads.two_healthy_loops", loops=["HEALTHY", "HEALTHY"], flags=("MULTI-LOOP",))
stalled("threads.forked_worker", "sleep", core=True)
