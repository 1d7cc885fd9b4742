"""Talks to all four services by the variables that `taskava dev test` sets, with nothing but the standard library."""

import os
import socket
import struct
import urllib.request


def exchange(host, port, message, until):
    with socket.create_connection((host, int(port)), timeout=10) as stream:
        stream.sendall(message)
        answer = b""
        while until not in answer:
            more = stream.recv(4096)
            assert more, answer
            answer += more
        return answer


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def test_postgres():
    parameters = "".join(f"{name}\0{os.environ[key]}\0" for name, key in (("user", "PGUSER"), ("database", "PGDATABASE")))
    startup = struct.pack(">ii", 9 + len(parameters), 196608) + parameters.encode() + b"\0"
    query = b"SELECT 'from-' || 'python'\0"
    startup += b"Q" + struct.pack(">i", 4 + len(query)) + query
    assert exchange(os.environ["PGHOST"], os.environ["PGPORT"], startup, b"from-python")


def test_redis():
    assert exchange(os.environ["REDIS_HOST"], os.environ["REDIS_PORT"], b"PING\r\n", b"+PONG\r\n")


def test_localstack():
    assert b'"s3"' in get(os.environ["AWS_ENDPOINT_URL"] + "/_localstack/health")


def test_mail():
    assert exchange(os.environ["SMTP_HOST"], os.environ["SMTP_PORT"], b"", b"220 ")
    assert b'"total"' in get(os.environ["MAIL_URL"] + "/api/v2/messages")
