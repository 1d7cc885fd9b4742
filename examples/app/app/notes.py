"""Notes: rows of PostgreSQL, read through Redis."""

import json

from flask import Blueprint, jsonify, request
from werkzeug.exceptions import BadRequest

from .accounts import user
from .settings import cache_client, database

routes = Blueprint("notes", __name__)
KEEP_SECONDS = 60

SCHEMA = """
create table if not exists notes (
    id      bigint generated always as identity primary key,
    owner   text not null,
    text    text not null,
    written timestamptz not null default now()
);
create index if not exists notes_of_owner on notes (owner, id);
"""


def migrate() -> None:
    """Brings the database up to date; can be repeated."""
    with database() as connection:
        connection.execute(SCHEMA)
    print("the schema is up to date")


@routes.post("/notes")
def add():
    owner = user()
    text = request.get_json(force=True).get("text")
    if not text:
        raise BadRequest("missing: text")
    with database() as connection:
        row = connection.execute("insert into notes (owner, text) values (%s, %s) returning id", (owner, text)).fetchone()
    cache_client().delete(f"notes:{owner}")
    return jsonify(id=row[0]), 201


@routes.get("/notes")
def all_of_user():
    """The header X-Cache says whether the database was asked."""
    owner = user()
    key = f"notes:{owner}"
    kept = cache_client().get(key)
    if kept is not None:
        return jsonify(notes=json.loads(kept)), 200, {"X-Cache": "hit"}
    with database() as connection:
        rows = connection.execute("select id, text from notes where owner = %s order by id", (owner,)).fetchall()
    notes = [{"id": row[0], "text": row[1]} for row in rows]
    cache_client().set(key, json.dumps(notes), ex=KEEP_SECONDS)
    return jsonify(notes=notes), 200, {"X-Cache": "miss"}
