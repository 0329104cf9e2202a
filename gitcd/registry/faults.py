"""What botocore raises, put into our words once: every failure of a registry is explained here.

Source of the codes: "Common errors" and the operations' pages of the Amazon ECR API reference, and the exceptions of
botocore.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from gitcd.errors import ConfigError
from gitcd.model.registry import Failure
from gitcd.registry.route import Target

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_THROTTLED = frozenset(
    {
        "LimitExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation"})
_SKEWED = frozenset({"RequestInTheFuture", "RequestTimeTooSkewed"})
_REJECTED = frozenset(
    {
        "AuthFailure",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_SKEW_MESSAGE = re.compile(r"Signature (expired|not yet current)", re.IGNORECASE)
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_FORBIDDEN = 403
_LONGEST = 300
_TITLE = re.compile(r"<title[^<>]*>([^<]+)", re.IGNORECASE)
_TOGETHER = (
    ("DescribeImages", "BatchGetImage"),
    ("StartLifecyclePolicyPreview", "GetLifecyclePolicyPreview"),
)

CLOCK = "check the clock of this machine: a signature or a certificate is judged by its time"


class MalformedAnswerError(Exception):
    """The answer is not what the protocol says."""


@contextmanager
def parsing() -> Iterator[None]:
    """Give one name to what botocore's parser raises when an answer is not of the shape that the model says."""
    from botocore.exceptions import BotoCoreError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except BotoCoreError:
        raise
    except (
        ResponseParserError,
        ArithmeticError,
        AttributeError,
        KeyError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise MalformedAnswerError(f"{type(error).__name__}: {error}") from error


def code_of(error: Exception) -> str:
    """The error code of a ClientError; empty for any other exception."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def explain(error: Exception, target: Target, *, source: str = "") -> Failure:
    """Say what a botocore exception means for a repository; `source` names where the credentials came from.

    Raises:
        ConfigError: there are no usable credentials at all, so no repository can be asked.
    """
    from botocore.exceptions import ClientError

    if isinstance(error, ClientError):
        return _refused(error, target, source)
    return _unreached(error, target)


def explain_missing(identifier: str, code: str, reason: str, target: Target) -> Failure:
    """Say what one entry of BatchGetImage's `failures` means."""
    what = f"the digest {identifier}" if identifier.startswith("sha256:") else f"the tag {identifier}"
    name = target.repository
    if code == "ImageNotFound":
        remedy = "push an image under it, or correct the declaration"
        return Failure("ImageNotFound", f"{name} has no image for {what}", remedy)
    if code == "KmsError":
        remedy = "check that the KMS key of the repository is enabled and that ECR may use it"
        return Failure(code, f"{name} cannot decrypt the image of {what}: {clean(reason)}", remedy)
    if code == "ImageInaccessible":
        remedy = "restore the image if it is archived, or push it again"
        return Failure(code, f"{name} cannot hand out the image of {what}: {clean(reason)}", remedy)
    if code.startswith("Upstream"):
        remedy = "check the pull-through cache rule of the repository and the upstream registry"
        return Failure(code, f"{name} could not fetch {what} from upstream: {clean(reason)}", remedy, transient=True)
    return Failure(clean(code) or "MalformedAnswer", f"{name} refused {what}: {clean(reason)}")


def _refused(error: Exception, target: Target, source: str) -> Failure:
    code, message, name = code_of(error), clean(_message(error)), target.repository
    if code == "RepositoryNotFoundException":
        remedy = "check the account, the region and the name of the repository"
        return Failure("RepositoryNotFound", f"there is no repository {target.arn}", remedy)
    if code == "UnableToGetUpstreamImageException":
        remedy = "check the pull-through cache rule of the repository and the upstream registry"
        return Failure("UpstreamUnavailable", f"{name} could not ask upstream: {message}", remedy, transient=True)
    if code == "KmsException":
        remedy = f"check that the KMS key of {target.arn} is enabled and that ECR may use it"
        return Failure("KmsError", f"{name} cannot use its KMS key: {message}", remedy)
    return (
        _distrusted(code, message, target, source)
        or _busy(error, code, message, target)
        or _denied(error, target, message)
        or Failure("RequestRefused", f"{_service(error)} refused to ask {name} ({clean(code)}): {message}")
    )


def _distrusted(code: str, message: str, target: Target, source: str) -> Failure | None:
    """AWS does not believe who is asking: a clock, or the credentials."""
    name, whose = target.repository, f"the credentials from {source}" if source else "the credentials"
    if code in _SKEWED or (code in _REJECTED and _SKEW_MESSAGE.search(message)):
        return Failure("ClockSkew", f"AWS refused to ask {name}: {message}", CLOCK, transient=True)
    if code in EXPIRED:
        message = f"{whose} have expired, and reading them again gave no fresh ones (asking {name})"
        return Failure("ExpiredToken", message, "renew them, for example with `aws sso login`", transient=True)
    if code in _REJECTED:
        remedy = f"check the access key, and that the account may use the region {target.route.region}"
        return Failure("InvalidCredentials", f"AWS rejected {whose} when asking {name}: {message}", remedy)
    return None


def _busy(error: Exception, code: str, message: str, target: Target) -> Failure | None:
    name, status = target.repository, _status(error)
    place = _service(error) + (f" in {target.route.region}" if target.route.region else "")
    if code in _THROTTLED or status == _TOO_MANY_REQUESTS:
        message = f"{place} throttled every attempt to ask {name}"
        return Failure("Throttled", message, "run again later, or less often", transient=True)
    if status >= _SERVER_ERROR or code == "ServerException":
        message = f"{place} failed when asking {name}: {message}"
        return Failure("RegistryUnavailable", message, "run again later", transient=True)
    return None


def _denied(error: Exception, target: Target, message: str) -> Failure | None:
    if code_of(error) not in _DENIED and _status(error) != _FORBIDDEN:
        return None
    operation = str(getattr(error, "operation_name", ""))
    if operation == "AssumeRole":
        role = target.route.access.role_arn
        remedy = f"allow sts:AssumeRole on {role}, there and here, and check its external id"
        return Failure("AccessDenied", f"not allowed to assume {role} for {target.repository}: {message}", remedy)
    if operation == "GetCallerIdentity":
        remedy = "allow it for this identity, or go without --caller-identity"
        return Failure("AccessDenied", f"not allowed to call sts:{operation}: {message}", remedy)
    return Failure(
        "AccessDenied",
        f"not allowed to call ecr:{operation} on {target.arn}: {message}",
        f"allow {_needed(operation)} on {target.arn}, in the identity's policy and, for another account, in the "
        "repository's policy",
    )


def _service(error: Exception) -> str:
    """Who was asked: ECR, or who says which role or identity this is."""
    return "AWS STS" if getattr(error, "operation_name", "") in {"AssumeRole", "GetCallerIdentity"} else "ECR"


def _needed(operation: str) -> str:
    """The actions to allow: some are of no use without each other."""
    together = next((group for group in _TOGETHER if operation in group), (operation,))
    return " and ".join(f"ecr:{each}" for each in together)


def _unreached(error: Exception, target: Target) -> Failure:
    from botocore import exceptions as boto

    name, message = target.repository, clean(str(error))
    if isinstance(error, _without_credentials()):
        raise ConfigError(
            f"there are no usable AWS credentials to ask {name}: {message}",
            remedy="looked in the environment, the shared credentials and config files, and the container or instance "
            "role; run `aws sts get-caller-identity` to see what AWS sees",
        ) from error
    if isinstance(error, boto.NoRegionError):
        raise ConfigError(
            f"no region is known to ask {name} in", remedy="give --region, set AWS_REGION, or name the registry's host"
        ) from error
    if isinstance(error, boto.SSLError):
        remedy = f"check the CA bundle (AWS_CA_BUNDLE) and the proxy; {CLOCK}"
        return Failure("TlsFailed", f"no trusted connection to ask {name}: {message}", remedy, transient=True)
    if isinstance(error, boto.ConnectTimeoutError | boto.ReadTimeoutError):
        return Failure("Timeout", f"no answer when asking {name}: {message}", "check the network", transient=True)
    if isinstance(error, boto.ConnectionError | boto.HTTPClientError | boto.IncompleteReadError):
        remedy = "check the region, the network, name resolution, the proxy, and the endpoint if one is set"
        return Failure(
            "ConnectionFailed", f"the connection failed when asking {name}: {message}", remedy, transient=True
        )
    if isinstance(error, boto.MetadataRetrievalError | boto.CredentialRetrievalError):
        remedy = "run again; if it stays, check the role of the instance or pod"
        return Failure("CredentialsUnavailable", f"no credentials to ask {name}: {message}", remedy, transient=True)
    if isinstance(error, MalformedAnswerError):
        return Failure(
            "MalformedAnswer", f"the answer about {name} could not be read: {message}", "run again", transient=True
        )
    return Failure("RequestRefused", f"{name} could not be asked: {message}", "check its name and the AWS settings")


def _without_credentials() -> tuple[type[Exception], ...]:
    from botocore import exceptions as boto

    return (
        boto.NoCredentialsError,
        boto.PartialCredentialsError,
        boto.ProfileNotFound,
        boto.ConfigParseError,
        boto.InvalidConfigError,
        boto.SSOError,
        boto.TokenRetrievalError,
        boto.LoginError,
    )


def clean(text: object) -> str:
    """Foreign text on one line, without control characters, and not too long."""
    line = " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _message(error: Exception) -> str:
    response = getattr(error, "response", {})
    return _without_markup(str(response.get("Error", {}).get("Message", "") or error))


def _without_markup(message: str) -> str:
    """The same; of a page that a proxy answers with, its title."""
    if not message.lstrip().startswith("<"):
        return message
    title = _TITLE.search(message)
    return f"an HTML page came back: {title[1].strip()}" if title else "an HTML page came back"


def _status(error: Exception) -> int:
    response = getattr(error, "response", {})
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
