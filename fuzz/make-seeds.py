#!/usr/bin/env python3
"""Makes fuzz/seeds from our own samples, with the program itself.

    fuzz/make-seeds.py [path to a built healthtrail]

Without a path it is built by cargo. Run it again when a format changes (columns, records, checkpoints);
the seeds are kept in the repository, so that a fuzzer begins where the program is.
"""
import gzip
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEEDS = ROOT / "fuzz" / "seeds"
EVENTS = ROOT / "samples" / "events"


def write(target, name, data):
    path = SEEDS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def unpack_and_split():
    objects = sorted(p for p in (ROOT / "samples" / "archive").rglob("*") if p.is_file())
    for number, path in enumerate(p for p in objects if p.stat().st_size):
        write("unpack", f"sample-{number:02}", b"\x40" + path.read_bytes()[:6000])
    event = json.dumps(json.loads((EVENTS / "health-vpn.json").read_bytes())).encode()
    nested = event
    for _ in range(3):
        nested = gzip.compress(nested, mtime=0)
    write("unpack", "nested", b"\x07" + nested)
    small = b'{"detail-type":"t","source":"s","detail":{"a":"}{","b":[1,{}]}}'
    framings = {
        "joined": small * 3, "lines": (small + b"\r\n") * 2, "literal": (small + b"\\n") * 2,
        "array": b"[" + small + b",\n" + small + b"]", "bom": b"\xef\xbb\xbf" + small,
        "junk": small + b" junk\0 " + small[:-3] + small, "scalars": b"1 null \"x\" " + small,
        "deep": b"[" * 130 + small, "text": small.replace(b"}{", b"\xff\\ud800\\u00e9"),
    }
    for name, data in framings.items():
        write("split", name, b"\x05" + data)


def documents():
    event = (EVENTS / "health-vpn.json").read_text()
    asff = (EVENTS / "hub-imported-health.json").read_text()
    import base64
    message = {"Type": "Notification", "TopicArn": "t", "Message": event}
    packed = base64.b64encode(gzip.compress(asff.encode(), mtime=0)).decode()
    write("document", "sns", json.dumps(message).encode())
    write("document", "record", json.dumps({"errorCode": "x", "rawData": packed}).encode())


def healthtrail(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    if done.returncode not in (0, 3):
        sys.exit(done.stderr)


def parts_and_log(program):
    """Two small runs; the objects are few, so that the files are."""
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        archive, lake = work / "archive", work / "lake"
        archive.mkdir()
        names = ["health-eks-page-1", "hub-imported-health", "ocsf-bare-risk", "asff-without-id"]
        for name in names:
            shutil.copy(EVENTS / f"{name}.json", archive / f"2026-11-24-{name}.json")
        run = ["run", "--from", str(archive), "--to", str(lake), "--products", "all"]
        healthtrail(program, *run)
        shutil.copy(EVENTS / "health-vpn.json", archive / "2026-11-25.json")
        (archive / "2026-11-26.json").write_text("{")
        healthtrail(program, *run)
        for table, first in (("findings", 0), ("rejects", 1)):
            for number, path in enumerate(sorted((lake / table).rglob("*.parquet"))[:2]):
                rows = rows_of(lake, path)
                write("part", f"{table}-{number}", bytes([first]) + rows.to_bytes(2, "little") + path.read_bytes())
        state = lake / "_healthtrail"
        record = json.loads((state / "log" / "0000000001.json").read_bytes())
        for item in record["objects"]["inline"]["consumed"]:
            item["archive"] = "file:///archive/"
        data = json.dumps(record, separators=(",", ":")).encode()
        write("log", "record", b"r" + data)
        write("log", "list", b"o" + json.dumps(record["objects"]["inline"]).encode())
        write("log", "config", b"c" + (state / "lake.json").read_bytes())
        key = record["files"][0]["key"]
        write("log", "done", b"d" + json.dumps({"damaged": {key: "is gone"}}).encode())
        withdrawn = dict(record, purpose="repair", reason="r", withdrawn=[{"key": key, "commit": 1}],
                         tombstones=[{"finding": "0" * 32}, {"reject": "1" * 32}], files=[])
        write("log", "repair", b"r" + json.dumps(withdrawn).encode())
        write("log", "lines", b"l" + LINES.replace("COMMIT", record["commit_id"]).encode())


def rows_of(lake, part):
    for path in sorted((lake / "_healthtrail" / "log").glob("*.json")):
        for file in json.loads(path.read_bytes())["files"]:
            if file["key"].endswith(part.name):
                return file["rows"]
    sys.exit(f"no record names {part}")


# A checkpoint's lines, every kind of them.
LINES = "\n".join([
    '{"head":{"format":2,"number":1,"commit_id":"COMMIT","products":"all","totals":{"objects":4,"failed":1,"files":1,"bytes":9,"findings":3,"rejects":1},"newest_ms":1795500000000}}',
    '{"profile":{"settings":{"products":"all","limits":{"object_bytes_max":1073741824,"document_bytes_max":16777216,"depth_max":127},"reader_generation":1},"kinds":["document_too_large","other_product"]}}',
    '{"failure_kind":"denied"}',
    '{"withdrawn_commit":1}',
    '{"accepted":{"archive":"file:///archive/","key":"k","etag":"e","reason":"r"}}',
    '{"tombstone":{"finding":"00000000000000000000000000000000"}}',
    '{"file":{"table":"findings","partition":"2026-11-24","file":{"commit":1,"key":"findings/dt=2026-11-24/0000000001-0000000000000000.parquet","rows":3,"bytes":9,"sha256":"00"}}}',
    '{"damaged":{"table":"findings","partition":"2026-11-24","file":{"file":{"commit":1,"key":"k","rows":3,"bytes":9,"sha256":"00"},"message":"is gone"}}}',
    '{"root":"file:///archive/"}',
    '{"closed":{"hour":[498000,0],"digest":"00000000000000000000000000000001","sums":[1,9,3,1],"span":[0,5],"groups":[[1,0,1]]}}',
    '{"open":{"hour":[498001,0],"ids":"00000000000000000000000000000002","entries":[[1,0,9,1792800000000,3,1]]}}',
    '{"reopened":{"hour":[498002,0],"late":1}}',
    '{"checked":{"hour":[498000,0],"count":1,"digest":"00000000000000000000000000000001","settings":{"products":"all","limits":{"object_bytes_max":1073741824,"document_bytes_max":16777216,"depth_max":127},"reader_generation":1},"expired":0}}',
    '{"failed":{"kind":0,"commit":1,"hour":[498001,0],"ids":"00000000000000000000000000000003"}}',
    '{"end":{"lines":14}}',
]) + "\n"


def main():
    if len(sys.argv) > 1:
        program = sys.argv[1]
    else:
        subprocess.run(["cargo", "build"], cwd=ROOT, check=True)
        program = str(ROOT / "target" / "debug" / "healthtrail")
    shutil.rmtree(SEEDS, ignore_errors=True)
    unpack_and_split()
    documents()
    parts_and_log(program)
    size = sum(p.stat().st_size for p in SEEDS.rglob("*") if p.is_file())
    print(f"{size >> 10} KiB of seeds in {SEEDS}")


if __name__ == "__main__":
    main()
