"""What a cloud answered: read off the text of obstore's errors, which have no fields, and told as errors of ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from disdat import aws
from disdat.errors import DisdatError, PermissionDenied, StorageError, Unavailable
from disdat.store.backend import KeyNotFound, Unsupported

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_ELAPSED = re.compile(r" in ([0-9.]+)(ns|µs|ms|s)[, ]")
# The innermost of what obstore, its client and the system each say; the last one is the most to the point.
_REASON = re.compile(r'(?:message|error): "([^"\n]+)"|kind: (Timeout|TimedOut)')
_NO_ANSWER = ("HTTP error", "error sending request", "operation timed out")
_CUT = ("request or response body error", "error decoding response body", "end of file before message length")
_BUSY = {"", "ConditionalRequestConflict", "OperationAborted"}
_PAST_THE_END = "but object was only"
_WHOLE = "Received non-partial response"
_REDIRECTED = "incorrectly configured region"
_SECONDS = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}


class Action(Enum):
    """What is done with an object, and the permission that AWS calls it by."""

    READ = "read", "s3:GetObject"
    WRITE = "write", "s3:PutObject"
    DELETE = "delete", "s3:DeleteObject"
    COPY = "copy", "s3:GetObject and s3:PutObject"
    LIST = "list", "s3:ListBucket"
    SIGN = "sign a URL for", ""

    @property
    def verb(self) -> str:
        return self.value[0]

    @property
    def permission(self) -> str:
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an error's text says."""

    text: str
    status: int
    """Of HTTP; 0 if nothing was answered."""
    code: str
    """S3's name for what was wrong."""

    @classmethod
    def of(cls, error: BaseException) -> Answer:
        text = str(error)
        status, code = _STATUS.search(text), _CODE.search(text)
        absent = 404 if isinstance(error, FileNotFoundError) else 0  # some texts do not say
        return cls(text, int(status[1]) if status else absent, code[1] if code else "")

    @property
    def may_differ_again(self) -> bool:
        """Whether to ask again, which obstore does not: what is there is not known, or it was told in part only."""
        return self.was_cut or self.is_busy or self.code == "NoSuchUpload"  # that is of one completed, if unheard

    @property
    def was_cut(self) -> bool:
        """Whether an answer began well and did not end."""
        return not self.status and any(said in self.text for said in _CUT)

    @property
    def is_busy(self) -> bool:
        """Whether others were writing the same at that moment, so that it is not known what is there."""
        return self.status == 409 and self.code in _BUSY

    @property
    def is_past_the_end(self) -> bool:
        return self.status == 416 or _PAST_THE_END in self.text

    @property
    def is_whole(self) -> bool:
        """Whether all of an object was answered where a part was asked for, as a server may do."""
        return _WHOLE in self.text

    @property
    def is_about_credentials(self) -> bool:
        """Whether there were none to ask with."""
        return not self.status and "lacked valid authentication" in self.text

    @property
    def tried_s(self) -> float:
        found = _ELAPSED.search(self.text)
        return float(found[1]) * _SECONDS[found[2]] if found else 0.0

    @property
    def reason(self) -> str:
        """Why nothing was answered, in the system's words."""
        found = [message or "it took too long" for message, _ in _REASON.findall(self.text)]
        return found[-1] if found else "no answer"


def told(answer: Answer, action: Action, key: str, url: str, *, bucket: str) -> DisdatError:
    """The error of ours for what was answered."""
    what = f"{action.verb} {key!r} in {url}" if key else f"{action.verb} {url}"
    code = "PermanentRedirect" if _REDIRECTED in answer.text else answer.code
    if answer.status == 501 or code == "NotImplemented" or "NotSupported {" in answer.text:
        return Unsupported(f"cannot {what}: the server cannot do this")
    if answer.status == 404 and key and code != "NoSuchBucket" and action is not Action.WRITE:
        return KeyNotFound(key, url)
    if answer.status or code:
        return aws.refusal(what, code=code, status=answer.status, permission=action.permission, bucket=bucket)
    if answer.was_cut or any(said in answer.text for said in _NO_ANSWER):
        tried = f"tried for {answer.tried_s:.0f} s" if answer.tried_s >= 1 else "tried once or twice"
        return Unavailable(
            f"cannot {what}: {answer.reason} ({tried})",
            hint="check the network, and AWS_ENDPOINT_URL if it is set",
        )
    if answer.is_about_credentials:
        return PermissionDenied(f"may not {what}: no valid credentials", hint="check the credentials")
    return StorageError(f"cannot {what}: {_first_line(answer.text)}")


def _first_line(text: str) -> str:
    return " ".join(text.partition("\n\nDebug source")[0].split())[:300]
