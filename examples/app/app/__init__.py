"""An example application of the production stack's shape: accounts in Cognito, files in S3, notes in PostgreSQL behind a
Redis cache, settings in Parameter Store and Secrets Manager, metrics and logs in CloudWatch.

It knows nothing of the local stack: where things are comes from the environment, as on ECS.
"""

from flask import Flask, jsonify
from werkzeug.exceptions import HTTPException

from . import accounts, files, notes, operations


def create_app() -> Flask:
    """The web service; every route is under /api."""
    app = Flask(__name__, static_folder=None)
    for part in (accounts, files, notes, operations):
        app.register_blueprint(part.routes, url_prefix="/api")

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException):
        return jsonify(error=error.description), error.code

    return app
