"""Files by URL: resumed after a broken connection, verified, and whole or not there.

requests does the transfer; what it and pooch lack is here: going on where a transfer broke off (RFC 9110,
section 14).
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import requests
from tqdm import tqdm

from interslice.common.errors import InputError
from interslice.common.files import sha256_of

BLOCK = 1 << 16  # what a break may cost: requests hands out whole blocks only
RETRIED_STATUS = {408, 425, 429, 500, 502, 503, 504}
LONGEST_WAIT = 60.0


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
    *,
    size: int | None = None,
    sha256: str | None = None,
    progress: TextIO | None = None,
    patience: Patience = Patience(),
) -> Path:
    """Fetch one file from the first of `urls` that has it; `target` appears only when it is whole and
    verified.

    What arrived stays beside it as .NAME.partial, and the next call goes on from there. A target that is
    there already and right is returned at once. `size` is in bytes; a file of unknown checksum (None) is
    checked by what is known. A progress bar goes to `progress`. Raises InputError with what each address
    answered.
    """
    target = Path(target)
    if target.is_file() and not mismatch(target, size, sha256):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    answers = []
    for url in urls:
        try:
            fetch(url, partial, size, sha256, progress, patience)
        except InputError as error:
            answers.append(f"{url}: {error}")
        else:
            partial.replace(target)
            return target
    raise InputError(
        f"{target.name}: cannot be downloaded: {'; '.join(answers) or 'no address is configured'}"
    )


def mismatch(path: Path, size: int | None, sha256: str | None) -> str:
    """What is wrong with a file, in words; nothing where it is as expected."""
    found = path.stat().st_size
    if size is not None and found != size:
        return f"found {found} bytes, expected {size}"
    if sha256 is not None and (digest := sha256_of(path)) != sha256:
        return f"found sha256 {digest}, expected {sha256}"
    return ""


def fetch(
    url: str, partial: Path, size: int | None, sha256: str | None, progress: TextIO | None, patience: Patience
) -> None:
    """Bring `partial` to its full size and verify it; one that is complete and wrong is deleted, and fetched anew once."""
    resumed = partial.exists()
    receive_all(url, partial, size, progress, patience)
    problem = mismatch(partial, size, sha256)
    if problem and resumed:
        # The first part may be of another file, left by an earlier call.
        partial.unlink()
        receive_all(url, partial, size, progress, patience)
        problem = mismatch(partial, size, sha256)
    if problem:
        partial.unlink()
        raise InputError(problem)


def receive_all(
    url: str, partial: Path, size: int | None, progress: TextIO | None, patience: Patience
) -> None:
    """Receive until the server has no more; wait and go on after each interruption."""
    failures = 0
    with (
        requests.Session() as session,
        tqdm(
            desc=partial.name[1:-8], total=size, unit="B", unit_scale=True, file=progress, mininterval=0.5
        ) as bar,
    ):
        while True:
            before = partial.stat().st_size if partial.exists() else 0
            try:
                receive(session, url, partial, size, bar, patience.timeout)
                return
            except Interrupted as reason:
                after = partial.stat().st_size if partial.exists() else 0
                failures = 0 if after > before else failures + 1
                if failures > patience.retries:
                    raise InputError(f"{reason}, after {failures} attempts without a byte") from reason
                wait = max(reason.wait, patience.backoff * 2 ** max(0, failures - 1))
                time.sleep(min(wait, LONGEST_WAIT))


def receive(
    session: requests.Session, url: str, partial: Path, size: int | None, bar: tqdm, timeout: float
) -> None:
    """One request for what is missing. Raises Interrupted where another may help, InputError where none will."""
    start = partial.stat().st_size if partial.exists() else 0
    if size is not None and start == size:
        return
    if size is not None and start > size:
        partial.unlink()
        start = 0
    # Content-Encoding would make byte counts meaningless.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        with session.get(url, headers=headers, stream=True, timeout=timeout) as response:
            mode, total = judge(response, start, size)
            if mode == "none":
                return
            bar.total = total
            bar.update((start if mode == "ab" else 0) - bar.n)
            write_blocks(response, partial, mode, size, bar.update)
    except requests.TooManyRedirects as error:
        raise InputError("redirected in a circle") from error
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise Interrupted(interruption(error)) from error
    except requests.RequestException as error:
        raise InputError(f"not a usable address ({error})") from error
    received = partial.stat().st_size
    if total is not None and received < total:
        raise Interrupted(f"broke off after {received} of {total} bytes")


def judge(response: requests.Response, start: int, size: int | None) -> tuple[str, int | None]:
    """How to take an answer: append ("ab"), from the beginning ("wb"), or nothing is missing ("none"); the
    full size.
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
        raise InputError(
            f"the server has fewer than the {start} bytes that are here already; delete the .partial file"
        )
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
