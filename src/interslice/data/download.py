"""Files by URL: resumed after a broken connection, verified, and whole or not there.

requests does the transfer; what it and pooch lack is here: going on where a transfer broke off (RFC 9110,
section 14), and only within one version of the file. Which version a partial file is of (the ETag or the date of
change that its server gave) lies beside it; the server is asked for the rest of that version (If-Range) and sends
the whole of another. Without either, a partial file is gone on with only where a checksum will tell.
"""

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import requests
from tqdm import tqdm

from interslice.common.errors import InputError

BLOCK = 1 << 16  # what a break may cost: requests hands out whole blocks only
RETRIED_STATUS = {408, 425, 429, 500, 502, 503, 504}
LONGEST_WAIT = 60.0


@dataclass(frozen=True)
class Wanted:
    """What is known of a file beforehand: bytes and checksums (hexadecimal digits), each None where it is not known."""

    size: int | None = None
    sha256: str | None = None
    md5: str | None = None

    def mismatch(self, path: Path) -> str:
        """What is wrong with a file, in words; nothing where it is as expected."""
        found = path.stat().st_size
        if self.size is not None and found != self.size:
            return f"found {found} bytes, expected {self.size}"
        for name, expected in (("sha256", self.sha256), ("md5", self.md5)):
            if expected is not None and (digest := digest_of(path, name)) != expected:
                return f"found {name} {digest}, expected {expected}"
        return ""

    @property
    def has_checksum(self) -> bool:
        return self.sha256 is not None or self.md5 is not None


def wanted_of(remote: Mapping[str, Any]) -> Wanted:
    """What an entry of a dataset file's `archives` says of its archive."""
    return Wanted(remote["size"], remote["sha256"], remote.get("md5"))


def digest_of(path: Path, algorithm: str) -> str:
    """A checksum of a file in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


class Partial:
    """What arrived of a file so far, and beside it the address and version that it is of."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f".{target.name}.partial")
        self.record = target.with_name(f".{target.name}.partial.version")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self, url: str) -> str:
        """The version of the file at `url` that the partial file is of; nothing where it is not known."""
        lines = self.record.read_text().splitlines() if self.record.exists() else []
        return lines[1] if len(lines) == 2 and lines[0] == url else ""

    def begin(self, url: str, version: str) -> None:
        """Forget what is there: the next bytes are the first ones of this version."""
        self.remove()
        self.record.write_text(f"{url}\n{version}")

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)


@dataclass(frozen=True)
class Patience:
    """retries: attempts after the first that bring not one byte; a transfer that moves on may break off as
    often as it likes. timeout: seconds without a byte. backoff: seconds before the first retry, doubled for
    each that follows.
    """

    retries: int = 5
    timeout: float = 60.0
    backoff: float = 1.0


class Interrupted(Exception):
    """A transfer that may be tried again. `wait`: seconds that the server asks for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def download(
    urls: Sequence[str],
    target: str | Path,
    wanted: Wanted = Wanted(),
    *,
    progress: TextIO | None = None,
    patience: Patience = Patience(),
    session: requests.Session | None = None,
) -> Path:
    """Fetch one file from the first of `urls` that has it; `target` appears only when it is whole and
    verified.

    What arrived stays beside it as .NAME.partial, and the next call goes on from there. A target that is
    there already and right is returned at once. A progress bar goes to `progress`; `session` brings proxies,
    certificates and the like. Raises InputError with what each address answered.
    """
    target = Path(target)
    if target.is_file() and not wanted.mismatch(target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial, answers = Partial(target), []
    with nullcontext(session) if session else requests.Session() as opened:
        for url in urls:
            try:
                Transfer(opened, url, partial, wanted, patience).fetch(target.name, progress)
            except InputError as error:
                answers.append(f"{url}: {error}")
            else:
                partial.path.replace(target)
                partial.remove()
                return target
    raise InputError(
        f"{target.name}: cannot be downloaded: {'; '.join(answers) or 'no address is configured'}"
    )


class Transfer:
    """One file from one address."""

    def __init__(
        self, session: requests.Session, url: str, partial: Partial, wanted: Wanted, patience: Patience
    ) -> None:
        self.session, self.url, self.partial = session, url, partial
        self.wanted, self.patience = wanted, patience

    def fetch(self, name: str, progress: TextIO | None) -> None:
        """Bring the partial file to its full size and verify it; one that was gone on with and is wrong comes anew once."""
        resumed = self.partial.size > 0
        with tqdm(
            desc=name, total=self.wanted.size, unit="B", unit_scale=True, file=progress, mininterval=0.5
        ) as bar:
            self.receive_all(bar)
            problem = self.wanted.mismatch(self.partial.path)
            if problem and resumed:
                # The first part may be of another file, left by an earlier call.
                self.partial.remove()
                self.receive_all(bar)
                problem = self.wanted.mismatch(self.partial.path)
        if problem:
            self.partial.remove()
            raise InputError(problem)

    def receive_all(self, bar: tqdm) -> None:
        """Receive until the server has no more; wait and go on after each interruption."""
        failures = 0
        while True:
            before = self.partial.size
            try:
                self.receive(bar)
                return
            except Interrupted as reason:
                failures = 0 if self.partial.size > before else failures + 1
                if failures > self.patience.retries:
                    raise InputError(f"{reason}, after {failures} attempts without a byte") from reason
                wait = max(reason.wait, self.patience.backoff * 2 ** max(0, failures - 1))
                time.sleep(min(wait, LONGEST_WAIT))

    def receive(self, bar: tqdm) -> None:
        """One request for what is missing. Raises Interrupted where another may help, InputError where none will."""
        size, version = self.wanted.size, self.partial.version(self.url)
        if not (version or self.wanted.has_checksum) or (size is not None and self.partial.size > size):
            self.partial.remove()  # nothing would tell whether the rest is of the same file
        start = self.partial.size
        if size is not None and start == size:
            return
        # Content-Encoding would make byte counts meaningless.
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers |= {"Range": f"bytes={start}-"} | ({"If-Range": version} if version else {})
        try:
            with self.session.get(
                self.url, headers=headers, stream=True, timeout=self.patience.timeout
            ) as response:
                total = self.take(response, start, version, bar)
        except requests.TooManyRedirects as error:
            raise InputError("redirected in a circle") from error
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            raise Interrupted(interruption(error)) from error
        except requests.RequestException as error:
            raise InputError(f"not a usable address ({error})") from error
        received = self.partial.size
        if total is not None and received < total:
            raise Interrupted(f"broke off after {received} of {total} bytes")

    def take(self, response: requests.Response, start: int, version: str, bar: tqdm) -> int | None:
        """Append what a server answered to the partial file, or begin it anew; the full size, where it is said."""
        mode, total = judge(response, start, self.wanted.size)
        offered = version_of(response)
        if mode == "anew" or (mode != "wb" and version and offered and offered != version):
            self.partial.remove()
            raise Interrupted("the file changed on the server")
        if mode == "none":
            return start
        if mode == "wb":
            self.partial.begin(self.url, offered)
        bar.total = total
        bar.update((start if mode == "ab" else 0) - bar.n)
        write_blocks(response, self.partial.path, mode, self.wanted.size, bar.update)
        return total


def version_of(response: requests.Response) -> str:
    """What a server calls this version of the file: a strong ETag, else the date of change; nothing where it gives neither.

    A weak ETag (W/...) may stay while bytes change, and is not for ranges (RFC 9110, section 13.1.5).
    """
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def judge(response: requests.Response, start: int, size: int | None) -> tuple[str, int | None]:
    """How to take an answer: append ("ab"), from the beginning ("wb"), nothing is missing ("none"), or
    what is here is more than the server has ("anew"); the full size.
    """
    status = response.status_code
    if status in RETRIED_STATUS:
        wait = response.headers.get("Retry-After", "")
        raise Interrupted(
            f"the server answered {status} {response.reason}", float(wait) if wait.isdigit() else 0.0
        )
    if status == 416 and start:
        full = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
        if full and int(full[1]) == start:
            return "none", start
        return "anew", None
    if status == 206:
        part = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not part or int(part[1]) != start:
            raise InputError(
                f"the server sent the range {response.headers.get('Content-Range')!r}, asked for {start}-"
            )
        total = None if part[2] == "*" else int(part[2])
    elif status == 200:
        length = response.headers.get("Content-Length", "")
        total, start = (int(length) if length.isdigit() else None), 0
    else:
        raise InputError(f"the server answered {status} {response.reason}")
    if size is not None and total is not None and total != size:
        raise InputError(f"the server offers {total} bytes, expected {size}")
    return ("ab" if start else "wb"), total if total is not None else size


def write_blocks(
    response: requests.Response, partial: Path, mode: str, size: int | None, report: Callable[[int], object]
) -> None:
    """Append what arrives, a block at a time, so that a break costs little; refuse more than `size` bytes."""
    with open(partial, mode) as file:
        for block in response.iter_content(BLOCK):
            file.write(block)
            file.flush()
            report(len(block))
            if size is not None and file.tell() > size:
                raise InputError(f"the server sent more than the expected {size} bytes")


def interruption(error: Exception) -> str:
    """An exception of requests in a few words."""
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "the server did not answer in time"
    if "Name or service" in str(error) or "resolve" in str(error):
        return "the server's name is not known here"
    if "refused" in str(error):
        return "the connection was refused"
    return "the connection broke off"
