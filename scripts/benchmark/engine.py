"""The best case: the same stacks by bare calls of the Engine API, as few and as many at once as possible.

Readiness is asked every 5 ms from the host. Nothing is observed, checked or labelled, and nothing is repaired.
"""

import http.client
import json
import os
import socket
import struct
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

PROBE_EVERY = 0.005
VERSION = "/v1.41"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("engine")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


class Engine:
    """Calls over the engine's Unix socket; each thread keeps its connection."""

    def __init__(self):
        host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        if not host.startswith("unix://"):
            raise SystemExit(f"error: {host} is no Unix socket; the comparison needs an engine on this machine")
        self.path = host.removeprefix("unix://")
        self.local = threading.local()

    def call(self, method, path, body=None, good=(200, 201, 204, 304)):
        text = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"} if text else {}
        try:
            answer = self.send(method, path, text, headers)
        except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
            # The engine was restarted since this connection was made.
            self.local.connection = None
            answer = self.send(method, path, text, headers)
        content = answer.read()
        if answer.status not in good:
            raise RuntimeError(f"{method} {path}: {answer.status} {content.decode(errors='replace').strip()}")
        return json.loads(content) if content.startswith((b"{", b"[")) else None

    def send(self, method, path, text, headers):
        if getattr(self.local, "connection", None) is None:
            self.local.connection = UnixConnection(self.path)
        self.local.connection.request(method, VERSION + path, text, headers)
        return self.local.connection.getresponse()

    def containers(self, label):
        return self.call("GET", "/containers/json?all=1&" + filters(label=[label]))

    def read_log(self, container):
        """Reads a container's whole log off the socket and throws it away; returns the number of bytes."""
        path = f"{VERSION}/containers/{container}/logs?stdout=1&stderr=1"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.connect(self.path)
            stream.sendall(f"GET {path} HTTP/1.0\r\nHost: engine\r\n\r\n".encode())
            buffer, total = bytearray(1 << 18), 0
            while count := stream.recv_into(buffer):
                total += count
            return total

    def running(self, label):
        return sum(seen["State"] == "running" for seen in self.containers(label))


def filters(**wanted):
    return "filters=" + urllib.parse.quote(json.dumps(wanted))


class Raw:
    """A stack by bare calls. `up`, `ps` and `down` are what is measured."""

    def __init__(self, engine, stack, name):
        self.engine, self.stack, self.name = engine, stack, name
        self.label = f"bench={name}"
        self.pool = ThreadPoolExecutor(48)
        # Threads and connections are there before anything is measured.
        barrier = threading.Barrier(48)
        list(self.pool.map(lambda _: (barrier.wait(), engine.call("GET", "/_ping")), range(48)))

    def up(self):
        submit, call = self.pool.submit, self.engine.call
        volumes = [service["volume"] for service in self.stack.values() if "volume" in service]
        labels = {"bench": self.name}
        first = [submit(call, "POST", "/networks/create", {"Name": self.name, "Labels": labels})]
        first += [
            submit(call, "POST", "/volumes/create", {"Name": f"{self.name}_{volume.split(':')[0]}", "Labels": labels})
            for volume in volumes
        ]
        for step in first:
            step.result()
        created = {name: submit(self.create, name, service) for name, service in self.stack.items()}
        ready = {}
        for name, service in self.stack.items():
            before = [ready[other] for other in service.get("depends_on", [])]
            ready[name] = submit(self.start, service, created[name], before)
        for step in ready.values():
            step.result()

    def create(self, name, service):
        host = {"NetworkMode": self.name}
        body = {"Image": service["image"], "Labels": {"bench": self.name}, "HostConfig": host}
        body["Env"] = [f"{key}={value}" for key, value in service.get("env", {}).items()]
        if "command" in service:
            body["Cmd"] = service["command"]
        if "volume" in service:
            host["Binds"] = [f"{self.name}_{service['volume']}"]
        if "port" in service:
            body["ExposedPorts"] = {f"{service['port']}/tcp": {}}
            binding = {"HostIp": "127.0.0.1", "HostPort": str(service["host_port"])}
            host["PortBindings"] = {f"{service['port']}/tcp": [binding]}
        body["NetworkingConfig"] = {"EndpointsConfig": {self.name: {"Aliases": [name]}}}
        return self.engine.call("POST", f"/containers/create?name={self.name}-{name}", body)["Id"]

    def start(self, service, created, before):
        for other in before:
            other.result()
        container = created.result()
        self.engine.call("POST", f"/containers/{container}/start")
        if "ready" in service:
            seen = self.engine.call("GET", f"/containers/{container}/json")
            service["address"] = seen["NetworkSettings"]["Networks"][self.name]["IPAddress"]
        while not is_ready(service):
            time.sleep(PROBE_EVERY)

    def ps(self):
        self.engine.containers(self.label)
        list(self.pool.map(is_ready, self.stack.values()))

    def down(self):
        stopped = {}
        removed = []
        for name in reversed(self.stack):
            before = [stopped[other] for other, service in self.stack.items() if name in service.get("depends_on", [])]
            stopped[name] = self.pool.submit(self.stop, name, before)
        for name, step in stopped.items():
            removed.append(self.pool.submit(self.remove, name, step))
        for step in removed:
            step.result()
        self.engine.call("DELETE", f"/networks/{self.name}")

    def stop(self, name, before):
        for other in before:
            other.result()
        self.engine.call("POST", f"/containers/{self.name}-{name}/stop?t=10")

    def remove(self, name, stopped):
        stopped.result()
        self.engine.call("DELETE", f"/containers/{self.name}-{name}?v=1")

    def clean(self):
        """Removes what an earlier run left behind, and the volumes."""
        for seen in self.engine.containers(self.label):
            self.engine.call("DELETE", f"/containers/{seen['Id']}?force=1&v=1", good=(204, 404))
        self.engine.call("DELETE", f"/networks/{self.name}", good=(204, 404))
        for seen in self.engine.call("GET", "/volumes?" + filters(label=[self.label]))["Volumes"] or []:
            self.engine.call("DELETE", f"/volumes/{seen['Name']}", good=(204, 404))


def is_ready(service):
    """Asks once. PostgreSQL is up when it answers a startup message with a request to log in."""
    if "ready" in service:
        port, path = service["ready"].removeprefix("http://:").split("/")
        request = f"GET /{path} HTTP/1.0\r\n\r\n".encode()
        return b" 200 " in exchange((service["address"], int(port)), request)
    match service.get("kind"):
        case "postgres":
            parameters = b"user\0taskava\0database\0taskava\0\0"
            startup = struct.pack(">ii", 8 + len(parameters), 196608) + parameters
            return exchange(("127.0.0.1", service["host_port"]), startup).startswith(b"R")
        case "redis":
            return exchange(("127.0.0.1", service["host_port"]), b"PING\r\n").startswith(b"+PONG")
    return True


def exchange(address, message):
    try:
        with socket.create_connection(address, timeout=1) as stream:
            stream.sendall(message)
            return stream.recv(256)
    except OSError:
        return b""
