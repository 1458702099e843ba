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
needs     modules; service:NAME, tool:NAME, root, resolver, host (no chroot), cgroup:CONTROLLER
settle    seconds from the truth to the look
cpu       the target burns a CPU: such ones run one at a time
core      belongs to the core that every interpreter runs
options   more options of dump
heavy     needs packages that are too large for CI
"""
ANY = object()
STATES = []


class State:
    def __init__(self, name, verdict, kinds=None, library=ANY, who=True, also=(), peer=False, path=False,
                 holder=False, flags=(), loops=None, needs="", settle=0.6, cpu=False, core=False,
                 heavy=False, minor=8, options=""):
        self.name = name
        self.file, _, self.function = name.partition(".")
        self.verdicts = verdict.split()
        self.kinds = kinds.split() if isinstance(kinds, str) else kinds
        self.library = library.split() if isinstance(library, str) else library
        self.who, self.also = who, also
        self.peer, self.path, self.holder = peer, path, holder
        self.flags, self.loops = flags, loops
        self.needs = needs.split()
        self.options = options.split()
        self.settle, self.cpu, self.core, self.heavy, self.minor = settle, cpu, core, heavy, minor


def state(name, verdict, kinds=None, library=ANY, **rest):
    STATES.append(State(name, verdict, kinds, library=library, **rest))


def stalled(name, kinds, library=ANY, **rest):
    """kinds without a dot in front: blocked.CATEGORY."""
    state(name, "STALLED", " ".join("blocked." + kind for kind in kinds.split()), library=library, **rest)


def burning(name, kinds, library=ANY, **rest):
    rest.setdefault("settle", 0.4)
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
# 3.13 walks in glob and makes the paths afterwards.
state("files.rglob", "STALLED", "*.file.walk cpu.python", library="pathlib glob", cpu=True)
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
stalled("files.expect", "proc.wait", "pexpect", needs="pexpect host")

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
state("threads.debugger_tty", "STALLED", "debugger", needs="host")
state("threads.nested_selector", "STALLED", "nested blocked.loop.nested blocked.io.socket")
state("threads.nested_run", "STALLED", "nested", core=True)
stalled("threads.nested_new_thread", "future.wait", "concurrent.futures concurrent concurrent.futures._base")

# ---- deadlocks ----------------------------------------------------------------------------------------

state("threads.deadlock_future", "DEADLOCK", "future", core=True)
state("threads.deadlock_future_helper", "DEADLOCK", "future")
state("threads.deadlock_future_timeout", "DEADLOCK STALLED", "future blocked.future.wait")
state("threads.deadlock_threads", "DEADLOCK", "threads", core=True)
state("threads.deadlock_threads_with", "DEADLOCK", "threads")
state("threads.deadlock_loops", "DEADLOCK", "threads")
stalled("threads.lock_of_busy_thread", "lock.thread", core=True)
stalled("threads.result_of_other_loop", "future.wait", core=True)

# ---- the GIL, several loops ---------------------------------------------------------------------------

state("threads.gil_regex", "STARVED", "gil", who=ANY, cpu=True, core=True)
state("threads.gil_pow", "STARVED", "gil", who=ANY, cpu=True)
state("threads.gil_convoy_of_many", "STARVED", "gil", who=ANY, cpu=True)
state("threads.gil_convoy", "STARVED", "gil", who=ANY, cpu=True)
stalled("threads.two_loops", "sleep", loops=["HEALTHY", "STALLED"], core=True)
stalled("threads.loop_in_thread", "sleep")
calm("threads.two_healthy_loops", loops=["HEALTHY", "HEALTHY"], flags=("MULTI-LOOP",))
stalled("threads.forked_worker", "sleep", core=True)

# ---- healthy ----------------------------------------------------------------------------------------

for name in ("idle", "bare", "for_ever", "after_a_stall", "short_holds", "echo_server", "threads_in_pool", "heap",
             "many_timers", "cancelled", "thread_waits_for_loop", "mixed_waits", "wait_subprocess", "select_loop_idle",
             "poll_loop_idle"):
    calm("loops." + name, core=name in ("idle", "bare", "echo_server", "short_holds", "thread_waits_for_loop"))
for name in ("joined_loop", "loop_in_executor", "locked_thread", "stopped_and_again"):
    calm("loops." + name)
calm("loops.hash_thread", cpu=True)
calm("loops.half_busy", cpu=True)
calm("loops.after_deadlock_timeout")
calm("loops.cpu_thread", "HEALTHY STARVED", "gil", who=ANY, cpu=True)
calm("loops.debug", flags=("DEBUG-MODE",), core=True)
calm("loops.executor_full", flags=("EXEC-FULL",), core=True)
calm("loops.growing", flags=("GROWING",), options="--for 1s")
calm("loops.fd_limit", flags=("FD-LIMIT",))
calm("system.child_burns", cpu=True)
calm("system.niced_idle", "HEALTHY STARVED", "cpu.host", who=ANY, cpu=True)
calm("system.straced_idle", needs="tool:strace")

# ---- busy, overloaded -------------------------------------------------------------------------------

state("loops.busy", "BUSY", who=ANY, cpu=True, core=True)
state("loops.busy_many", "BUSY", who=ANY, cpu=True)
state("loops.flood_spin", "OVERLOADED", "spin fanout", who=ANY, cpu=True, core=True)
state("loops.flood_tasks", "OVERLOADED", "fanout", who=ANY, cpu=True, core=True)
state("loops.flood_callbacks", "OVERLOADED", "fanout mixed spin", who=ANY, cpu=True)
state("loops.flood_working", "OVERLOADED", "fanout timers", who=ANY, cpu=True, settle=1)
state("loops.retry_storm", "OVERLOADED", "retry", who=ANY, cpu=True, settle=1)
state("loops.retry_tenacity", "OVERLOADED", "retry", who=ANY, cpu=True, needs="tenacity", settle=1)
state("loops.late_timers", "OVERLOADED", "timers", who=ANY, cpu=True, settle=2)
state("loops.choppy", "CHOPPY STALLED", options="--for 3s", settle=0.1)

# ---- waiting ------------------------------------------------------------------------------------------

calm("loops.wait_lock", "WAITING", "wait.lock", core=True)
calm("loops.wait_lock_thousands", "WAITING", "wait.lock")
calm("loops.wait_lock_lost", "WAITING", "wait.lock")
calm("loops.wait_semaphore", "WAITING", "wait.semaphore", core=True)
calm("loops.wait_own_pool", "WAITING", "wait.semaphore wait.pool*")
calm("loops.wait_queue_put", "WAITING", "wait.queue.put", core=True)
calm("loops.wait_drain", "WAITING", "wait.write", settle=1)
calm("loops.wait_connect", "WAITING", "wait.connect")
calm("loops.wait_dns", "WAITING", "wait.dns", flags=("EXEC-FULL",), needs="resolver")
calm("loops.wait_to_thread", "WAITING", "wait.executor", flags=("EXEC-FULL",), minor=9)
calm("loops.wait_run_in_executor", "WAITING", "wait.executor", flags=("EXEC-FULL",), core=True)
# A crowd in one of these may be the ordinary life of a service.
calm("loops.wait_event", "WAITING HEALTHY", "wait.event")
calm("loops.wait_condition", "WAITING HEALTHY", "wait.condition wait.lock")
calm("loops.wait_queue_get", "WAITING HEALTHY", "wait.queue.get", core=True)
calm("loops.wait_queue_join", "WAITING HEALTHY", "wait.queue.join")
calm("loops.wait_sleep", "WAITING HEALTHY", "wait.sleep")
calm("loops.wait_gather", "WAITING HEALTHY", "wait.sleep wait.tasks")
calm("loops.wait_read", "WAITING HEALTHY", "wait.read")
calm("loops.wait_sock_recv", "WAITING HEALTHY", "wait.read")
calm("loops.wait_for", "WAITING HEALTHY", "wait.event wait.tasks")
calm("loops.wait_asyncio_wait", "WAITING HEALTHY", "wait.sleep wait.tasks")
calm("loops.wait_task_group", "WAITING HEALTHY", "wait.sleep wait.tasks", minor=11)
calm("loops.orphans", "WAITING HEALTHY")

# ---- stalled, whatever else there is ----------------------------------------------------------------

stalled("loops.debug_stalled", "sleep", flags=("DEBUG-MODE",))
stalled("loops.stalled_under_crowd", "sleep", core=True)
stalled("loops.stalled_with_full_executor", "sleep", flags=("EXEC-FULL",))
stalled("loops.stalled_with_ready", "sleep")
stalled("loops.subclassed", "sleep")
stalled("loops.select_loop", "sleep")
stalled("loops.eager", "sleep", minor=12)
stalled("loops.python_tasks", "sleep")
stalled("system.straced_sleep", "sleep", needs="tool:strace")

# ---- no loop ------------------------------------------------------------------------------------------

for name in ("no_asyncio", "sync_server", "http_server", "starting", "finished", "created_only", "between_runs",
             "threads_only"):
    calm("loops." + name, "NO-LOOP", who=ANY, core=name in ("no_asyncio", "finished", "sync_server"))

# ---- the system ---------------------------------------------------------------------------------------

state("system.stopped", "STOPPED", who=ANY, core=True)
state("system.stopped_in_stall", "STOPPED", who=ANY)
state("system.traced", "TRACED", who=ANY, core=True)
state("system.traced_by_gdb", "TRACED", who=ANY, needs="tool:gdb")
state("system.frozen", "FROZEN", who=ANY, needs="root cgroup:freezer")
state("system.frozen_unified", "FROZEN", who=ANY, needs="root cgroup:unified")
state("system.frozen_in_stall", "FROZEN", who=ANY, needs="root cgroup:freezer")
state("system.throttled", "STARVED", "cpu.throttled", who=ANY, needs="root cgroup:cpu", cpu=True)
state("system.throttled_in_cpu", "STARVED", "cpu.throttled", who=ANY, needs="root cgroup:cpu", cpu=True)
state("system.starved", "STARVED", "cpu.host", who=ANY, cpu=True)

# ---- computing ------------------------------------------------------------------------------------------

burning("cpu.json_dumps", "cpu.json", "json", core=True)
burning("cpu.json_indent", "cpu.json", "json")
burning("cpu.json_dump", "cpu.json", "json")
burning("cpu.json_loads", "cpu.json", "json")
burning("cpu.pickle_dumps", "cpu.serialise")
burning("cpu.pickle_loads", "cpu.serialise")
burning("cpu.deepcopy", "cpu.copy", "copy", core=True)
burning("cpu.b64", "cpu.serialise")
burning("cpu.element_tree", "cpu.parse", "xml.etree.ElementTree xml")
burning("cpu.minidom", "cpu.parse", "xml.dom.minidom xml")
burning("cpu.html_parser", "cpu.parse", "html.parser html")
burning("cpu.strptime", "cpu.parse")
burning("cpu.ast_parse", "cpu.parse", "ast")
burning("cpu.email_parse", "cpu.parse", "email.parser email")
burning("cpu.regex_match", "cpu.regex", core=True)
burning("cpu.regex_module", "cpu.regex", "re")
burning("cpu.regex_findall", "cpu.regex")
burning("cpu.regex_sub", "cpu.regex")
burning("cpu.regex_search", "cpu.regex")
burning("cpu.pbkdf2", "cpu.crypto", core=True)
burning("cpu.scrypt", "cpu.crypto")
burning("cpu.sha256", "cpu.crypto")
burning("cpu.zlib_compress", "cpu.compress")
burning("cpu.gzip_compress", "cpu.compress", "gzip")
burning("cpu.bz2_compress", "cpu.compress", "bz2")
burning("cpu.lzma_compress", "cpu.compress", "lzma")
burning("cpu.zip_write", "cpu.compress", "zipfile")
burning("cpu.tar_add", "cpu.compress", "tarfile")
burning("cpu.file_digest", "cpu.crypto", "hashlib", minor=11)
burning("cpu.loop", "cpu.python", core=True)
burning("cpu.loop_in_helper", "cpu.python")
burning("cpu.comprehension", "cpu.python", also=("<listcomp>",))
burning("cpu.recursion", "cpu.python", also=("fib",))
burning("cpu.sort", "cpu.python")
burning("cpu.summing", "cpu.python")
burning("cpu.power", "cpu.python")
burning("cpu.parse_int", "cpu.python")
burning("cpu.square_root", "cpu.python")
burning("cpu.diff", "cpu.python", "difflib")
burning("cpu.deviation", "cpu.python", "statistics")
burning("cpu.normalise", "cpu.python")
burning("cpu.stacks", "cpu.python", "traceback")
burning("cpu.inspect_stack", "cpu.python", "inspect")
burning("cpu.sorting_with_key", "cpu.python", also=("<lambda>",))
burning("cpu.gc_collect", "gc", core=True, settle=1)
burning("cpu.gc_automatic", "gc cpu.gc cpu.python", settle=1)
burning("cpu.urandom", "cpu.*")

# ---- clients that Debian packages -------------------------------------------------------------------

for name in ("requests_get", "requests_timeout", "requests_session", "requests_connect", "requests_body",
             "requests_in_class"):
    stalled("web." + name, "io.http", "requests", peer=True, needs="requests")
stalled("web.requests_tls", "io.http io.tls", "requests", peer=True, needs="requests")
stalled("web.requests_dns", "io.http io.dns", "requests", peer=True, needs="requests resolver")
stalled("web.urllib3_request", "io.http", "urllib3", peer=True, needs="urllib3")
stalled("web.urllib3_pool", "pool.wait", "urllib3", needs="urllib3")
stalled("web.urllib3_retry", "sleep.retry", "urllib3", needs="urllib3")
stalled("web.httpx_get", "io.http", "httpx", peer=True, needs="httpx")
stalled("web.httpx_client", "io.http", "httpx", peer=True, needs="httpx")
stalled("web.httplib2_request", "io.http", "httplib2", peer=True, needs="httplib2")
stalled("web.curl", "io.http", peer=True, needs="pycurl")
stalled("web.websocket_connect", "io.http", "websocket", peer=True, needs="websocket")
stalled("web.push_gateway", "io.http", "prometheus_client", peer=True, needs="prometheus_client")
stalled("web.sentry_flush", "io.http", "sentry_sdk", needs="sentry_sdk")
stalled("web.dns_python", "io.dns", "dns dns.resolver", needs="dns")
stalled("web.boto_s3", "io.cloud", "botocore boto3", peer=True, needs="boto3")
burning("web.boto_client", "blocked.io.cloud cpu.*", "botocore boto3", needs="boto3")
stalled("web.kubernetes_list", "io.cloud", "kubernetes", peer=True, needs="kubernetes", heavy=True)
stalled("web.docker_version", "io.cloud", "docker", peer=True, needs="docker")
stalled("web.vault_read", "io.cloud", "hvac", peer=True, needs="hvac")
stalled("web.elastic_search", "io.db", "elasticsearch elastic_transport", peer=True, needs="elasticsearch")
stalled("web.grpc_call", "io.rpc", "grpc", needs="grpc")
stalled("web.zookeeper", "io.rpc", "kazoo", needs="kazoo")
stalled("web.ldap3_bind", "io.ldap", "ldap3", peer=True, needs="ldap3")
stalled("web.ldap_bind", "io.ldap", "ldap", peer=True, needs="ldap")
stalled("web.ssh", "io.ssh", "paramiko", needs="paramiko")
stalled("web.git_clone", "proc.wait", "git", needs="git tool:git")
state("web.pika_connect", "STALLED", "blocked.io.broker nested", "pika", needs="pika")
state("web.kafka_producer", "STALLED", "blocked.io.broker nested", "kafka", needs="kafka")
state("web.kafka_poll", "STALLED", "blocked.io.broker nested", "kafka", needs="kafka")
state("web.mqtt_loop", "STALLED", "blocked.io.broker nested", "paho paho.mqtt.client", needs="paho")
stalled("web.zmq_recv", "io.broker", needs="zmq")
stalled("web.stomp_connect", "io.broker", "stomp", needs="stomp")
stalled("web.tenacity_sleep", "sleep.retry", "tenacity", needs="tenacity")
stalled("web.backoff_sleep", "sleep.retry", "backoff", needs="backoff")
stalled("web.psutil_percent", "sleep", "psutil", needs="psutil host")
stalled("web.curl_command", "proc.wait", "subprocess", needs="tool:wget")
# The loop turns inside its own callback: tickers are on time.
calm("web.nested_nest_asyncio", flags=["NESTED"], needs="nest_asyncio")
stalled("web.portalocker_lock", "file.lock", path=True, needs="portalocker")

# ---- databases, caches --------------------------------------------------------------------------------

PG = "service:postgres "
stalled("db.psycopg2_connect", "io.db", "psycopg2", peer=True, needs="psycopg2")
stalled("db.psycopg2_execute", "io.db", peer=True, needs=PG + "psycopg2")
stalled("db.psycopg2_lock", "io.db", peer=True, needs=PG + "psycopg2")
# psycopg 3 wakes up every 0.1 s: not at a multiple of that.
state("db.psycopg_connect", "STALLED", "blocked.io.db nested", "psycopg", peer=True, needs="psycopg", settle=0.65)
state("db.psycopg_execute", "STALLED", "blocked.io.db nested", "psycopg", peer=True, needs=PG + "psycopg", settle=0.65)
stalled("db.psycopg_pool", "pool.wait", "psycopg_pool", needs=PG + "psycopg psycopg_pool")
stalled("db.sqlalchemy_execute", "io.db", "sqlalchemy", peer=True, needs=PG + "sqlalchemy psycopg2")
stalled("db.sqlalchemy_session", "io.db", "sqlalchemy", peer=True, needs=PG + "sqlalchemy psycopg2")
stalled("db.sqlalchemy_pool", "pool.wait", "sqlalchemy", needs="sqlalchemy")
state("db.deadlock_pool", "DEADLOCK", "pool", needs="sqlalchemy")
stalled("db.peewee_execute", "io.db", "peewee", peer=True, needs=PG + "peewee psycopg2")
stalled("db.django_execute", "io.db", "django", peer=True, needs=PG + "django psycopg2", settle=0.65)
MY = "service:mariadb "
stalled("db.pymysql_connect", "io.db", "pymysql", peer=True, needs="pymysql")
stalled("db.pymysql_query", "io.db", "pymysql", peer=True, needs=MY + "pymysql")
stalled("db.mysqldb_connect", "io.db", "MySQLdb", peer=True, needs="MySQLdb")
stalled("db.mysqldb_query", "io.db", "MySQLdb", peer=True, needs=MY + "MySQLdb")
burning("db.sqlite_query", "blocked.io.db cpu.io.db cpu.db", needs="sqlite3")
burning("db.sqlite_fetch", "blocked.io.db cpu.io.db cpu.db", needs="sqlite3")
stalled("db.sqlite_locked", "file.lock", needs="sqlite3")
stalled("db.mongo_find", "io.db", "pymongo", needs="pymongo")
stalled("db.redis_blpop", "io.cache", "redis", peer=True, needs="service:redis redis")
stalled("db.redis_get", "io.cache", "redis", peer=True, needs="redis")
stalled("db.redis_lock", "sleep.retry", "redis", needs="service:redis redis")
stalled("db.memcache_get", "io.cache", "memcache", peer=True, needs="memcache")
stalled("db.pymemcache_get", "io.cache", "pymemcache", peer=True, needs="pymemcache")
calm("db.asyncpg_pool", "WAITING", "wait.pool.db", needs=PG + "asyncpg")
calm("db.asyncpg_execute", "WAITING", "wait.db", needs=PG + "asyncpg", settle=1)
calm("db.psycopg_async_pool", "WAITING", "wait.pool.db", needs=PG + "psycopg psycopg_pool")
calm("db.sqlalchemy_async_pool", "WAITING", "wait.pool.db", needs=PG + "sqlalchemy asyncpg greenlet")
calm("db.redis_async_pool", "WAITING", "wait.pool.cache", needs="service:redis redis")
calm("db.redis_async_read", "WAITING", "wait.cache", needs="service:redis redis")
calm("db.aiohttp_pool", "WAITING", "wait.pool.http", needs="aiohttp")
calm("db.aiohttp_get", "WAITING", "wait.http", needs="aiohttp")
calm("db.httpx_pool", "WAITING", "wait.pool.http", needs="httpx")
calm("db.httpx_get", "WAITING", "wait.http", needs="httpx")
calm("db.anyio_threads", "WAITING", "wait.executor", needs="anyio")

# ---- computing with libraries ---------------------------------------------------------------------------

burning("cpu_more.msgpack_packb", "cpu.serialise", needs="msgpack")
burning("cpu_more.ujson_dumps", "cpu.json", needs="ujson")
burning("cpu_more.simplejson_dumps", "cpu.json", "simplejson", needs="simplejson")
burning("cpu_more.yaml_load", "cpu.parse", "yaml", needs="yaml")
burning("cpu_more.yaml_dump", "cpu.parse cpu.serialise", "yaml", needs="yaml")
burning("cpu_more.lxml_parse", "cpu.parse", needs="lxml")
burning("cpu_more.soup", "cpu.parse", "bs4", needs="bs4")
burning("cpu_more.xmltodict_parse", "cpu.parse", "xmltodict", needs="xmltodict")
burning("cpu_more.dateutil_parse", "cpu.parse", "dateutil dateutil.parser", needs="dateutil")
burning("cpu_more.bcrypt_hash", "cpu.crypto", "bcrypt", needs="bcrypt")
burning("cpu_more.argon2_hash", "cpu.crypto", "argon2", needs="argon2")
burning("cpu_more.argon2_threads", "cpu.crypto", "argon2", needs="argon2")
burning("cpu_more.rsa_key", "cpu.crypto", "cryptography", needs="cryptography")
burning("cpu_more.jwt_encode", "cpu.crypto", "jwt", needs="jwt cryptography")
burning("cpu_more.brotli_compress", "cpu.compress", needs="brotli")
burning("cpu_more.zstd_compress", "cpu.compress", needs="zstandard")
burning("cpu_more.pil_resize", "cpu.image", "PIL", needs="PIL")
burning("cpu_more.pil_save", "cpu.image", "PIL", needs="PIL")
burning("cpu_more.numpy_dot", "cpu.numeric", needs="numpy")
burning("cpu_more.numpy_sort", "cpu.numeric", "numpy", needs="numpy")
burning("cpu_more.pandas_apply", "cpu.numeric", "pandas", needs="pandas", heavy=True, also=("<lambda>",))
burning("cpu_more.pandas_csv", "cpu.numeric", "pandas", needs="pandas", heavy=True)
burning("cpu_more.jinja_render", "cpu.template", "jinja2", needs="jinja2")
burning("cpu_more.markdown_convert", "cpu.template", "markdown", needs="markdown")
burning("cpu_more.pydantic_models", "cpu.serialise", "pydantic", needs="pydantic")
burning("cpu_more.protobuf_dict", "cpu.serialise", "google.protobuf google", needs="google.protobuf")
burning("cpu_more.spreadsheet", "cpu.parse cpu.serialise", "openpyxl", needs="openpyxl", heavy=True)

# ---- other loops ----------------------------------------------------------------------------------------

stalled("other.uvloop_sleep", "sleep", needs="uvloop")
stalled("other.uvloop_callback", "sleep", needs="uvloop")
stalled("other.uvloop_recv", "io.socket", peer=True, needs="uvloop")
burning("other.uvloop_cpu", "cpu.python", needs="uvloop")
state("other.uvloop_flood", "OVERLOADED", "fanout mixed", who=ANY, cpu=True, needs="uvloop")
state("other.uvloop_nested_selector", "STALLED", "nested blocked.loop.nested blocked.io.socket", needs="uvloop")
calm("other.uvloop_idle", needs="uvloop")
calm("other.uvloop_echo", needs="uvloop")
calm("other.uvloop_half_busy", needs="uvloop", cpu=True)
calm("other.uvloop_wait_lock", "WAITING", "wait.lock", needs="uvloop")
# uvloop's ready queue is no Python object that could be read without its layout: the proof may be out of reach.
state("other.uvloop_deadlock", "DEADLOCK STALLED", "future blocked.future.wait", needs="uvloop")
stalled("other.aiohttp_handler", "sleep", needs="aiohttp")
calm("other.aiohttp_idle", needs="aiohttp")
calm("other.tornado_idle", needs="tornado")
stalled("other.tornado_sleep", "sleep", needs="tornado")
stalled("other.websocket_recv", "io.http", "websocket", peer=True, needs="websocket websockets")
for name, module in (("gevent_idle", "gevent"), ("gevent_monkey", "gevent"), ("twisted_idle", "twisted"),
                     ("trio_idle", "trio"), ("gunicorn_sync", "gunicorn")):
    calm("other." + name, "NO-LOOP", who=ANY, needs=module)
calm("other.twisted_on_asyncio", needs="twisted")
