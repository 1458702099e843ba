# SPDX-License-Identifier: Apache-2.0
"""HTTP, DNS, cloud and other clients of the distribution, against peers that say nothing."""
import os
import socket
import subprocess
import time

from stage import (background, begin, dead_resolver, full_server, kept, peer, settled, silent_server, talking_server,
                   temporary)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nsome"


def url_of(port):
    return "http://127.0.0.1:%d/price" % port


async def requests_get():
    import requests
    port = silent_server()
    await settled()
    begin(peer=peer(port))
    requests.get(url_of(port))


async def requests_timeout():
    import requests
    port = silent_server()
    await settled()
    begin(peer=peer(port))
    requests.get(url_of(port), timeout=40)


async def requests_session():
    import requests
    port, session = silent_server(), requests.Session()
    await settled()
    begin(peer=peer(port))
    session.post(url_of(port), json={"id": 1})


async def requests_connect():
    import requests
    port = full_server()
    await settled()
    begin(peer=peer(port))
    requests.get(url_of(port))


async def requests_body():
    import requests
    port = talking_server(HEAD)
    response = requests.get(url_of(port), stream=True)
    await settled()
    begin(peer=peer(port))
    response.content


async def requests_tls():
    import requests
    port = silent_server()
    await settled()
    begin(peer=peer(port))
    requests.get("https://127.0.0.1:%d/" % port, verify=False)


async def requests_dns():
    import requests
    server = dead_resolver()
    await settled()
    begin(peer=server)
    requests.get("http://price.example/")


class Prices:
    """Two frames of ours above the library."""

    def fetch(self, url):
        import requests
        return requests.get(url).json()


def price_of(prices, port):
    begin(function="fetch", lines=[Prices.fetch.__code__.co_firstlineno + 2] * 2, peer=peer(port))
    return prices.fetch(url_of(port))["price"]


async def requests_in_class():
    __import__("requests")
    port = silent_server()
    await settled()
    price_of(Prices(), port)


async def urllib3_request():
    import urllib3
    port, pool = silent_server(), urllib3.PoolManager()
    await settled()
    begin(peer=peer(port))
    pool.request("GET", url_of(port))


async def urllib3_pool():
    """The one connection of the pool is in use by a thread."""
    import urllib3
    port = silent_server()
    pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=1, block=True)
    background(pool.request, "GET", "/")
    await settled(0.2)
    begin()
    pool.request("GET", "/")


async def urllib3_retry():
    import urllib3
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    pool = urllib3.PoolManager(retries=urllib3.Retry(total=5, backoff_factor=30))
    await settled()
    begin()
    pool.request("GET", url_of(closed.getsockname()[1]))


async def httpx_get():
    import httpx
    port = silent_server()
    await settled()
    begin(peer=peer(port))
    httpx.get(url_of(port), timeout=40)


async def httpx_client():
    import httpx
    port, client = silent_server(), httpx.Client(timeout=None)
    await settled()
    begin(peer=peer(port))
    client.get(url_of(port))


async def httplib2_request():
    import httplib2
    port, client = silent_server(), httplib2.Http()
    await settled()
    begin(peer=peer(port))
    client.request(url_of(port))


async def curl():
    import pycurl
    port, client = silent_server(), pycurl.Curl()
    client.setopt(client.URL, url_of(port))
    await settled()
    begin(peer=peer(port))
    client.perform()


async def websocket_connect():
    import websocket
    port = silent_server()
    await settled()
    begin(peer=peer(port))
    websocket.create_connection("ws://127.0.0.1:%d/" % port)


async def push_gateway():
    import prometheus_client
    port, registry = silent_server(), prometheus_client.CollectorRegistry()
    await settled()
    begin(peer=peer(port))
    prometheus_client.push_to_gateway("127.0.0.1:%d" % port, job="prices", registry=registry)


async def sentry_flush():
    import sentry_sdk
    port = silent_server()
    sentry_sdk.init("http://key@127.0.0.1:%d/1" % port, default_integrations=False)
    sentry_sdk.capture_message("tea")
    await settled()
    begin()
    sentry_sdk.flush(timeout=40)


async def dns_python():
    import dns.resolver
    server = kept(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    server.bind(("127.0.0.1", 0))
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], server.getsockname()[1]
    resolver.lifetime = resolver.timeout = 40
    await settled()
    begin(peer=peer(resolver.port))
    resolver.resolve("price.example")


# ---- clouds --------------------------------------------------------------------------------------------

async def boto_s3():
    import boto3
    from botocore.config import Config
    port = silent_server()
    client = boto3.client("s3", endpoint_url=url_of(port), region_name="eu-west-1", aws_access_key_id="a",
                          aws_secret_access_key="b", config=Config(retries={"max_attempts": 0}))
    await settled()
    begin(peer=peer(port))
    client.list_buckets()


async def boto_client():
    """Making a client reads and parses the model of the service."""
    import gc
    import boto3
    from stage import FOREVER
    boto3.client("s3", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    gc.disable()
    await settled()
    begin(span=2)
    for _ in FOREVER:
        boto3.session.Session().client("ec2", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")


async def kubernetes_list():
    import kubernetes
    port = silent_server()
    settings = kubernetes.client.Configuration()
    settings.host = "http://127.0.0.1:%d" % port
    client = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(settings))
    await settled()
    begin(peer=peer(port))
    client.list_node()


async def docker_version():
    import docker
    port = silent_server()
    client = docker.APIClient(base_url="tcp://127.0.0.1:%d" % port, version="1.40")
    await settled()
    begin(peer=peer(port))
    client.version()


async def vault_read():
    import hvac
    port = silent_server()
    client = hvac.Client(url="http://127.0.0.1:%d" % port, token="t")
    await settled()
    begin(peer=peer(port))
    client.read("secret/tea")


async def elastic_search():
    import elasticsearch
    port = silent_server()
    client = elasticsearch.Elasticsearch(["http://127.0.0.1:%d" % port], timeout=40)
    await settled()
    begin(peer=peer(port))
    client.search(index="tea")


# ---- remote calls, directories, shells ---------------------------------------------------------------

async def grpc_call():
    import grpc
    port = silent_server()
    call = kept(grpc.insecure_channel("127.0.0.1:%d" % port)).unary_unary("/tea/Price")
    await settled()
    begin()
    call(b"", timeout=40)


async def zookeeper():
    import kazoo.client
    port = silent_server()
    client = kazoo.client.KazooClient("127.0.0.1:%d" % port)
    await settled()
    begin()
    client.start(timeout=40)


async def ldap3_bind():
    import ldap3
    port = silent_server()
    client = ldap3.Connection(ldap3.Server("127.0.0.1", port, get_info=ldap3.NONE), "cn=tea", "secret")
    await settled()
    begin(peer=peer(port))
    client.bind()


async def ldap_bind():
    import ldap
    port = silent_server()
    client = ldap.initialize("ldap://127.0.0.1:%d" % port)
    await settled()
    begin(peer=peer(port))
    client.simple_bind_s("cn=tea", "secret")


async def ssh():
    import paramiko
    port, client = silent_server(), paramiko.SSHClient()
    await settled()
    begin()
    client.connect("127.0.0.1", port, username="tea", password="x", banner_timeout=40, allow_agent=False)


async def git_clone():
    import git
    port, name = silent_server(), temporary("clone")
    await settled()
    begin()
    git.Repo.clone_from("git://127.0.0.1:%d/tea" % port, name)


# ---- brokers -------------------------------------------------------------------------------------------

async def pika_connect():
    import pika
    port = silent_server()
    settings = pika.ConnectionParameters("127.0.0.1", port, blocked_connection_timeout=40, socket_timeout=40,
                                         stack_timeout=45)
    await settled()
    begin()
    pika.BlockingConnection(settings)


async def kafka_producer():
    import kafka
    port = silent_server()
    await settled()
    begin()
    kafka.KafkaProducer(bootstrap_servers="127.0.0.1:%d" % port, api_version_auto_timeout_ms=40000)


async def kafka_poll():
    import kafka
    port = silent_server()
    consumer = kafka.KafkaConsumer("tea", bootstrap_servers="127.0.0.1:%d" % port, api_version=(2, 0, 0))
    await settled()
    begin()
    consumer.poll(timeout_ms=40000)


async def mqtt_loop():
    import paho.mqtt.client as mqtt
    port, client = silent_server(), mqtt.Client()
    client.connect("127.0.0.1", port, keepalive=50)
    await settled()
    begin()
    client.loop_forever()


async def zmq_recv():
    import zmq
    client = kept(zmq.Context()).socket(zmq.PULL)
    client.bind("tcp://127.0.0.1:*")
    await settled()
    begin()
    client.recv()


async def stomp_connect():
    import stomp
    port = silent_server()
    client = stomp.Connection([("127.0.0.1", port)])
    await settled()
    begin()
    client.connect("tea", "x", wait=True)


# ---- trying again --------------------------------------------------------------------------------------

def refused():
    raise ConnectionError


async def tenacity_sleep():
    import tenacity
    attempt = tenacity.retry(wait=tenacity.wait_fixed(40))(refused)
    await settled()
    begin()
    attempt()


async def backoff_sleep():
    import backoff
    attempt = backoff.on_exception(backoff.constant, ConnectionError, interval=40, jitter=None)(refused)
    await settled()
    begin()
    attempt()


async def psutil_percent():
    import psutil
    await settled()
    begin()
    psutil.cpu_percent(40)


async def curl_command():
    """A program of the system that waits for the peer."""
    port = silent_server()
    await settled()
    begin()
    subprocess.run(["wget", "-q", "-O", os.devnull, "-t", "1", url_of(port)])


async def nested_nest_asyncio():
    import asyncio
    import nest_asyncio
    nest_asyncio.apply()
    loop = asyncio.get_running_loop()
    await settled()
    begin()
    loop.run_until_complete(asyncio.sleep(40))


async def portalocker_lock():
    import portalocker
    from stage import forked
    name = temporary("lock")

    def hold(begun):
        import fcntl
        file = open(name, "w")
        fcntl.flock(file, fcntl.LOCK_EX)
        begun()
        time.sleep(40)

    forked(hold)
    file = open(name, "a")
    await settled()
    begin(path=name)
    portalocker.lock(file, portalocker.LOCK_EX)
