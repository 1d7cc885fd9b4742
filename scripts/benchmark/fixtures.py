"""Isolated stacks of a test run: from nothing until a command may run, and until nothing of them is left.

taskava runs `test -- CMD`, where CMD says that it runs and waits for the end of its input; compose runs `up -d --wait` under
a name drawn at random and `down -v`; raw makes the same with bare calls. Each stack has a network of its own on each side.
Ports are chosen by the engine on each side.
"""

import copy
import secrets
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import engine
import measure
import stacks
from table import Row

READY = ["sh", "-c", "echo ready; read -r line; :"]
FORKS = 8


def stack():
    """PostgreSQL and Redis, on ports that the engine chooses."""
    both = copy.deepcopy(stacks.small(None))
    del both["app"]
    return both


class Trial:
    """One `taskava dev test`, up to where its command runs."""

    def __init__(self, argv, *options):
        self.argv = [*argv, "test", *options, "--", *READY]
        self.said = tempfile.TemporaryFile("w+")
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(self.argv, stdin=pipe, stdout=pipe, stderr=self.said, text=True)

    def wait(self):
        """Until everything is ready and the command runs."""
        if self.process.stdout.readline() != "ready\n":
            self.end()

    def release(self):
        """Lets the command end."""
        if not self.process.stdin.closed:
            self.process.stdin.close()

    def end(self):
        """Returns when the stack is gone. Nothing is killed, so that it is removed even after a failure."""
        self.release()
        if self.process.wait() != 0:
            self.said.seek(0)
            raise SystemExit(f"error: {' '.join(self.argv)}:\n{self.said.read()[-2000:]}")


def trials(up, down, argv, *options, count=1):
    """Brings so many up at the same time, until the last is ready, and down again."""
    began = time.perf_counter()
    runs = []
    try:
        runs.extend(Trial(argv, *options) for _ in range(count))
        for run in runs:
            run.wait()
        up.add(time.perf_counter() - began)
    finally:
        began = time.perf_counter()
        for run in runs:
            run.release()
        for run in runs:
            run.process.wait()
    down.add(time.perf_counter() - began)
    for run in runs:
        run.end()


def compose_trial(up, down, compose, folder):
    """One stack of compose up and down, under a name that no other stack has."""
    file = folder / "fixtures-compose.yaml"
    file.write_text(stacks.compose_yaml(f"bench-compose-{secrets.token_hex(4)}", stack()))
    argv = [compose, "-f", str(file)]
    try:
        up.add(*measure.command([*argv, "up", "-d", "--wait"]))
        down.add(*measure.command([*argv, "down", "-v"]))
    finally:
        # Nothing is left to do unless something failed.
        subprocess.run([*argv, "down", "-v"], capture_output=True)


class Raw:
    """The same containers by bare calls, from the image with the data in place where there is one."""

    def __init__(self, api):
        self.engine = api
        self.pool = ThreadPoolExecutor(4 * FORKS)
        # Threads and connections are there before anything is measured.
        barrier = threading.Barrier(4 * FORKS)
        list(self.pool.map(lambda _: (barrier.wait(), api.call("GET", "/_ping")), range(4 * FORKS)))

    def trials(self, up, down, stack, count=1):
        """Brings so many up at the same time, until the last is ready, and down again."""
        prefixes = [f"bench-raw-{secrets.token_hex(4)}" for _ in range(count)]
        parts = [(prefix, name, service) for prefix in prefixes for name, service in stack.items()]
        all_of = lambda work, parts: list(self.pool.map(lambda part: work(*part), parts))
        networks = [(prefix,) for prefix in prefixes]
        try:
            up.add(measure.call(lambda: (all_of(self.make_network, networks), all_of(self.start, parts))))
            down.add(measure.call(lambda: (all_of(self.remove, parts), all_of(self.remove_network, networks))))
        finally:
            self.clean()

    def make_network(self, prefix):
        self.engine.call("POST", "/networks/create", {"Name": prefix, "Labels": {"bench": "fixtures"}})

    def remove_network(self, prefix):
        self.engine.call("DELETE", f"/networks/{prefix}")

    def start(self, prefix, name, service):
        """Creates and starts one container; returns when it is ready."""
        name, port = f"{prefix}-{name}", f"{service['port']}/tcp"
        host = {"NetworkMode": prefix, "PortBindings": {port: [{"HostIp": "127.0.0.1", "HostPort": ""}]}}
        body = {"Image": service["image"], "Labels": {"bench": "fixtures"}, "HostConfig": host, "ExposedPorts": {port: {}}}
        body["Env"] = [f"{key}={value}" for key, value in service.get("env", {}).items()]
        if "volume" in service:
            host["Binds"] = [f"{name}-{service['volume']}"]
        container = self.engine.call("POST", f"/containers/create?name={name}", body)["Id"]
        self.engine.call("POST", f"/containers/{container}/start")
        seen = self.engine.call("GET", f"/containers/{container}/json")
        at = {**service, "host_port": int(seen["NetworkSettings"]["Ports"][port][0]["HostPort"])}
        while not engine.is_ready(at):
            time.sleep(engine.PROBE_EVERY)

    def remove(self, prefix, name, service):
        name = f"{prefix}-{name}"
        self.engine.call("DELETE", f"/containers/{name}?force=1&v=1")
        if "volume" in service:
            self.engine.call("DELETE", f"/volumes/{name}-{service['volume'].split(':')[0]}")

    def clean(self):
        """Removes what a failure left."""
        for seen in self.engine.containers("bench=fixtures"):
            self.engine.call("DELETE", f"/containers/{seen['Id']}?force=1&v=1", good=(204, 404))
        for seen in self.engine.call("GET", "/volumes?" + engine.filters(name=["bench-raw-"]))["Volumes"] or []:
            self.engine.call("DELETE", f"/volumes/{seen['Name']}", good=(204, 404))
        for seen in self.engine.call("GET", "/networks?" + engine.filters(label=["bench=fixtures"])):
            self.engine.call("DELETE", f"/networks/{seen['Id']}", good=(204, 404))


def prepared(api, root):
    """The prepared images of a folder: id by service name; those that a run left without a name included."""
    seen = api.call("GET", "/images/json?" + engine.filters(label=["dev.taskava.prepared", f"dev.taskava.root={root}"]))
    return {image["Id"]: next(iter(image["RepoTags"] or []), "") for image in seen}


def with_data(api, root):
    """The stack as raw starts it from what taskava prepared."""
    names = [name for name in prepared(api, root).values() if name.endswith("-postgres")]
    if len(names) != 1:
        raise SystemExit(f"error: one prepared image was expected for {root}, not {names}")
    forked = stack()
    del forked["postgres"]["volume"]
    forked["postgres"]["image"] = names[0]
    return forked


def forget(api, root):
    """Removes the prepared images of a folder."""
    for image in prepared(api, root):
        api.call("DELETE", f"/images/{image}?force=1", good=(200, 404))


def forks(samples, argv, rounds):
    """`db fork` in a stack that is up; the first, which makes the template, is another matter."""
    try:
        measure.command([*argv, "up", "postgres"])
        measure.command([*argv, "db", "fork", "first"])
        for number in range(4 * rounds):
            samples.add(*measure.command([*argv, "db", "fork", f"f{number}"]))
    finally:
        subprocess.run([*argv, "down", "-v", "-y", "--no-snapshot"], capture_output=True)


def rows(bench, say_round):
    """Measures everything, and returns the rows of the table."""
    folder = bench.folder / "fixtures"
    folder.mkdir()
    file = folder / "services.toml"
    file.write_text(stacks.services_toml(f"bench-fixtures-{secrets.token_hex(4)}", stack()))
    argv, api, raw = [bench.taskava, "dev", "-f", str(file)], bench.engine, Raw(bench.engine)
    works = ("cold", "first", "prepared", "at once", "cold down", "prepared down", "at once down", "fork")
    seen = {work: {side: measure.Samples() for side in ("taskava", "compose", "raw")} for work in works}
    of = lambda side, work: (seen[work][side], seen[f"{work} down"][side])
    first = seen["first"]["taskava"]
    try:
        for number in range(bench.args.rounds):
            forget(api, folder)
            # The first run makes the images that the others begin with, and removes what it made them from.
            trials(first, measure.Samples(), argv)
            forked = with_data(api, folder)
            sides = [
                lambda: (trials(*of("taskava", "cold"), argv, "--no-prepared"), trials(*of("taskava", "prepared"), argv)),
                lambda: compose_trial(*of("compose", "cold"), bench.compose, folder),
                lambda: (raw.trials(*of("raw", "cold"), stack()), raw.trials(*of("raw", "prepared"), forked)),
                lambda: trials(*of("taskava", "at once"), argv, count=FORKS),
                lambda: raw.trials(*of("raw", "at once"), forked, count=FORKS),
            ]
            turn = number % len(sides)
            for side in sides[turn:] + sides[:turn]:
                side()
            say_round("isolated PostgreSQL + Redis", number, {w: s["taskava"] for w, s in seen.items()})
        forks(seen["fork"]["taskava"], argv, bench.args.rounds)
    finally:
        forget(api, folder)
    # What is prepared is there for others to begin with; compose has nothing of the kind.
    seen["prepared"]["compose"] = seen["first"]["compose"] = seen["cold"]["compose"]
    title = "isolated PostgreSQL + Redis"
    return [
        Row(f"{title}: cold", seen["cold"], 0.50, None),
        Row(f"{title}: cold, and prepared for the next", seen["first"], None, None),
        Row(f"{title}: prepared", seen["prepared"], 0.20, 1.30),
        Row(f"{title}: prepared, {FORKS} at once", seen["at once"], None, 1.30),
        Row(f"{title}: teardown", seen["cold down"], 0.25, None),
        Row("db fork", {"taskava": seen["fork"]["taskava"]}, None, None, 0.050),
    ]
