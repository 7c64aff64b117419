"""Fetches one wheel of a package index, going on where an earlier download stopped.

    fetch_wheel.py WHEEL SHA256 FOLDER

WHEEL is the file's name. What came so far stays in FOLDER/WHEEL.part; only a file with the pinned hash becomes
FOLDER/WHEEL, whose path is printed. The index is PIP_INDEX_URL, else pip's own setting, else PyPI. Exit code 3 and one
line on stderr when it could not be had.
"""
import fcntl
import hashlib
import html
import http.client
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

TRIES = 4  # connections that break off after they have brought something do not count


class Failure(Exception):
    pass


def index_address():
    address = os.environ.get("PIP_INDEX_URL")
    if not address:
        asked = subprocess.run([sys.executable, "-m", "pip", "config", "get", "global.index-url"],
                               capture_output=True, text=True)
        address = asked.stdout.strip() if asked.returncode == 0 else ""
    return (address or "https://pypi.org/simple").rstrip("/")


def wheel_address(wheel):
    package = re.sub("[-_.]+", "-", wheel.split("-")[0]).lower()
    page = f"{index_address()}/{package}/"
    kinds = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.5, text/html;q=0.1"
    with urllib.request.urlopen(urllib.request.Request(page, headers={"Accept": kinds}), timeout=30) as answer:
        text = answer.read().decode("utf-8")
        kind = answer.headers.get_content_type()
    if kind.endswith("json"):
        links = [file["url"] for file in json.loads(text)["files"]]
    else:
        links = [html.unescape(link) for link in re.findall(r'<a\s[^>]*href="([^"]*)"', text)]
    for link in links:
        if urllib.parse.urlsplit(link).path.endswith("/" + wheel):
            return urllib.parse.urljoin(page, link)
    raise Failure(f"{page} does not list {wheel}")


def ask(address, done):
    request = urllib.request.Request(address, headers={"Range": f"bytes={done}-"} if done else {})
    return urllib.request.urlopen(request, timeout=30)


def go_on(address, part):
    """Appends what is missing; True when the server says that nothing is."""
    done = part.seek(0, os.SEEK_END)
    try:
        answer = ask(address, done)
    except urllib.error.HTTPError as error:
        if error.code == 416 and done:
            return True  # nothing behind the end: the hash decides
        raise
    with answer:
        if done and not (answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {done}-")):
            part.truncate(0)  # the server begins at the beginning
            part.seek(0)
            done = 0
        length = answer.headers.get("Content-Length")
        while chunk := answer.read(1 << 16):
            part.write(chunk)
            part.flush()
    return length is None or part.tell() == done + int(length)


def has_hash(file, pinned):
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest() == pinned


def fetch(address, part, pinned):
    tries = TRIES
    while True:
        before = part.seek(0, os.SEEK_END)
        problem = "the connection broke off"
        try:
            complete = go_on(address, part)
        except (OSError, ValueError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError):
                raise Failure(f"{address}: {error}") from None
            complete, problem = False, str(error)
        if complete and has_hash(part, pinned):
            return
        if complete:
            part.truncate(0)
            if before == 0:
                raise Failure(f"{address} is not the pinned file (expected sha256 {pinned})")
        elif part.seek(0, os.SEEK_END) <= before:
            tries -= 1
            if tries == 0:
                raise Failure(problem)
            time.sleep(0.5)


def is_there(path, pinned):
    try:
        with open(path, "rb") as file:
            return has_hash(file, pinned)
    except OSError:
        return False


def main():
    wheel, pinned, folder = sys.argv[1:]
    path = os.path.join(folder, wheel)
    try:
        if is_there(path, pinned):
            print(path)
            return
        address = wheel_address(wheel)
        with open(path + ".part", "a+b") as part:
            fcntl.flock(part, fcntl.LOCK_EX)  # two that fetch the same do it one after the other
            if not os.path.exists(part.name) or not os.path.samestat(os.fstat(part.fileno()), os.stat(part.name)):
                raise Failure("another download of the same has just ended; run this again")
            fetch(address, part, pinned)
            os.replace(part.name, path)
    except (OSError, ValueError, KeyError, http.client.HTTPException, Failure) as error:
        print(f"{error}".splitlines()[0] if f"{error}" else type(error).__name__, file=sys.stderr)
        if os.path.exists(path + ".part") and os.path.getsize(path + ".part") == 0:
            os.unlink(path + ".part")
        sys.exit(3)
    print(path)


main()
