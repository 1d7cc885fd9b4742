"""Accounts: Cognito does the work, passwords never touch the database."""

from functools import cache

from flask import Blueprint, jsonify, request
from werkzeug.exceptions import BadRequest, Unauthorized

from .settings import PREFIX, aws

routes = Blueprint("accounts", __name__)


def cognito():
    return aws("cognito-idp")


@cache
def client_id() -> str:
    """Pool and client are known by name; their ids are the account's."""
    pools = cognito().list_user_pools(MaxResults=60)["UserPools"]
    pool = next(pool["Id"] for pool in pools if pool["Name"] == f"{PREFIX}-users")
    clients = cognito().list_user_pool_clients(UserPoolId=pool, MaxResults=60)["UserPoolClients"]
    return next(client["ClientId"] for client in clients if client["ClientName"] == "web")


def user() -> str:
    """The name of the user whose access token the request carries."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        raise Unauthorized("send the access token of /api/sign-in")
    try:
        return cognito().get_user(AccessToken=token)["Username"]
    except cognito().exceptions.NotAuthorizedException as error:
        raise Unauthorized("the access token is not valid") from error


def body(*names: str) -> list[str]:
    given = request.get_json(force=True)
    missing = [name for name in names if not given.get(name)]
    if missing:
        raise BadRequest(f"missing: {', '.join(missing)}")
    return [given[name] for name in names]


@routes.post("/sign-up")
def sign_up():
    email, password = body("email", "password")
    attributes = [{"Name": "email", "Value": email}]
    answer = cognito().sign_up(ClientId=client_id(), Username=email, Password=password, UserAttributes=attributes)
    return jsonify(confirmed=answer["UserConfirmed"]), 201


@routes.post("/confirm")
def confirm():
    email, code = body("email", "code")
    try:
        cognito().confirm_sign_up(ClientId=client_id(), Username=email, ConfirmationCode=code)
    except cognito().exceptions.CodeMismatchException as error:
        raise BadRequest("the code is wrong") from error
    return jsonify(ok=True)


@routes.post("/sign-in")
def sign_in():
    """Tokens, or the challenge of the second factor: then /api/second-factor goes on."""
    email, password = body("email", "password")
    try:
        answer = cognito().initiate_auth(
            ClientId=client_id(),
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": email, "PASSWORD": password},
        )
    except (cognito().exceptions.NotAuthorizedException, cognito().exceptions.UserNotConfirmedException) as error:
        raise Unauthorized(error.response["Error"]["Message"]) from error
    return tokens(answer)


@routes.post("/second-factor")
def second_factor():
    email, code, session = body("email", "code", "session")
    try:
        answer = cognito().respond_to_auth_challenge(
            ClientId=client_id(),
            ChallengeName="SOFTWARE_TOKEN_MFA",
            Session=session,
            ChallengeResponses={"USERNAME": email, "SOFTWARE_TOKEN_MFA_CODE": code},
        )
    except (cognito().exceptions.CodeMismatchException, cognito().exceptions.NotAuthorizedException) as error:
        raise Unauthorized("the code is wrong") from error
    return tokens(answer)


def tokens(answer: dict):
    if "ChallengeName" in answer:
        return jsonify(challenge=answer["ChallengeName"], session=answer["Session"])
    result = answer["AuthenticationResult"]
    return jsonify(access_token=result["AccessToken"], id_token=result["IdToken"])


@routes.post("/totp")
def begin_totp():
    """Begins to set up an authenticator app: answers with its secret."""
    user()
    answer = cognito().associate_software_token(AccessToken=access_token())
    return jsonify(secret=answer["SecretCode"])


@routes.post("/totp/verify")
def verify_totp():
    """Ends it: from now on sign-in asks for a code."""
    user()
    (code,) = body("code")
    answer = cognito().verify_software_token(AccessToken=access_token(), UserCode=code)
    if answer["Status"] != "SUCCESS":
        raise BadRequest("the code is wrong")
    preference = {"Enabled": True, "PreferredMfa": True}
    cognito().set_user_mfa_preference(AccessToken=access_token(), SoftwareTokenMfaSettings=preference)
    return jsonify(ok=True)


def access_token() -> str:
    return request.headers["Authorization"].partition(" ")[2]


@routes.get("/me")
def me():
    return jsonify(user=user())
