"""The stacks that are measured, written once, and given to each side in its own format."""

import json

# Ends at once on SIGTERM, which a shell as process 1 would otherwise ignore.
WAITS = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"]
SERVES = ["sh", "-c", f"mkdir /www; echo ok >/www/index.html; httpd -p 80 -h /www; {WAITS[2]}"]
LINE = "2026-01-01T00:00:00Z INFO request handled method=GET path=/api/v1/accounts status=200"


def small(first_port):
    """PostgreSQL, Redis and what depends on both; without a first port the engine chooses."""
    return {
        "postgres": {
            "kind": "postgres",
            "image": "taskava/postgres:15",
            "env": {"POSTGRES_USER": "taskava", "POSTGRES_PASSWORD": "taskava", "POSTGRES_DB": "taskava"},
            "port": 5432,
            "host_port": first_port,
            "volume": "postgres-data:/var/lib/postgresql/data",
            "check": ["CMD", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "taskava", "-d", "taskava"],
        },
        "redis": {
            "kind": "redis",
            "image": "taskava/redis:7",
            "port": 6379,
            "host_port": first_port and first_port + 1,
            "volume": "redis-data:/data",
            "check": ["CMD", "redis-cli", "ping"],
        },
        "app": {"image": "taskava/busybox:test", "command": WAITS, "depends_on": ["postgres", "redis"]},
    }


def forty(_first_port, serves=True):
    """Four levels of ten; each service depends on the whole level before, and on its being ready when it `serves`."""
    stack = {}
    for level in range(4):
        before = [f"s{level - 1}{other}" for other in range(10)] if level else []
        for number in range(10):
            service = {"image": "taskava/busybox:test", "command": WAITS, "depends_on": before}
            if serves:
                service["command"], service["ready"] = SERVES, "http://:80/index.html"
                service["check"] = ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1/index.html"]
            stack[f"s{level}{number}"] = service
    return stack


def forty_silent(first_port):
    return forty(first_port, serves=False)


def writer(lines):
    """Writes so many log lines and ends. Kept whole on each side: taskava's own limit is three files of 10 MB."""
    program = f'BEGIN {{ for (i = 0; i < {lines}; i++) print "{LINE} request=" i }}'
    return {"writer": {"kind": "job", "image": "taskava/busybox:test", "command": ["awk", program], "log_size": "4g"}}


def services_toml(project, stack):
    """As `services.toml`. A JSON string or list of strings is one of TOML, too."""
    lines = [f"project = {json.dumps(project)}"]
    for name, service in stack.items():
        lines += ["", f"[services.{name}]"]
        for key in ("kind", "image", "command"):
            if key in service:
                lines.append(f"{key} = {json.dumps(service[key])}")
        if service.get("depends_on"):
            lines.append(f"depends_on = {json.dumps(service['depends_on'])}")
        if "env" in service:
            pairs = (f"{key} = {json.dumps(value)}" for key, value in service["env"].items())
            lines.append("env = { " + ", ".join(pairs) + " }")
        if "log_size" in service:
            lines.append(f"logging = {{ max_size = {json.dumps(service['log_size'])}, max_files = 3 }}")
        if "ready" in service:
            lines.append(f"ready = {{ http = {json.dumps(service['ready'])} }}")
        if "port" in service:
            lines.append(f"ports = [{json.dumps(published(service))}]")
        if "watch" in service:
            pairs = (f"{key} = {json.dumps(value)}" for key, value in service["watch"].items())
            lines.append("watch = [{ " + ", ".join(pairs) + " }]")
        if "volume" in service:
            lines.append(f"volumes = [{json.dumps(service['volume'])}]")
    return "\n".join(lines) + "\n"


def published(service):
    """A port on the host where one is named; otherwise the engine chooses."""
    return f"{service['host_port']}:{service['port']}" if service["host_port"] else str(service["port"])


def compose_yaml(project, stack):
    """As `compose.yaml`, of which JSON is a part. Health checks run every second."""
    services, volumes = {}, {}
    for name, service in stack.items():
        out = services[name] = {"image": service["image"]}
        if "command" in service:
            # Compose reads a dollar as the start of a variable.
            out["command"] = [word.replace("$", "$$") for word in service["command"]]
        if "env" in service:
            out["environment"] = service["env"]
        if "port" in service:
            out["ports"] = [f"127.0.0.1:{service['host_port'] or ''}:{service['port']}"]
        if "script" in service:
            out["volumes"] = [f"{service['script']}:/etc/localstack/init/ready.d/resources.sh:ro"]
        if "volume" in service:
            out.setdefault("volumes", []).append(service["volume"])
            volumes[service["volume"].split(":")[0]] = {}
        if "log_size" in service:
            out["logging"] = {"driver": "json-file", "options": {"max-size": service["log_size"], "max-file": "3"}}
        if "watch" in service:
            out["develop"] = {"watch": [service["watch"]]}
        if "check" in service:
            out["healthcheck"] = {"test": service["check"], "interval": "1s", "timeout": "1s", "retries": 60}
        if service.get("depends_on"):
            condition = lambda other: "service_healthy" if "check" in stack[other] else "service_started"
            out["depends_on"] = {other: {"condition": condition(other)} for other in service["depends_on"]}
    return json.dumps({"name": project, "services": services, "volumes": volumes}, indent=1)
