#!/usr/bin/env python3
"""Makes samples/archive/ from the readable events in samples/events/.

    python3 samples/make.py            write the archive anew
    python3 samples/make.py --check    tell whether the archive still says the same

Only the standard library. Snappy and zstd are written by hand, without compressing: a reader cannot
tell. What deflate makes depends on the zlib at hand, so `--check` compares what is inside.
"""

import base64
import gzip
import io
import json
import os
import shutil
import struct
import sys
import zipfile
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
ARCHIVE = os.path.join(HERE, "archive")


# Documents


def event(name):
    with open(os.path.join(HERE, "events", name + ".json"), encoding="utf-8") as file:
        return json.load(file)


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def record(name):
    return compact(event(name))


def backup(name, envelope_id, time, region):
    """The copy of a Health event that its backup Region delivers."""
    copy = event(name)
    copy.update(id=envelope_id, time=time, region=region)
    copy["detail"]["backupEvent"] = "true"
    return compact(copy)


def aggregated(name, envelope_id, region):
    """The copy of a Security Hub event that the aggregation Region delivers in the same second."""
    copy = event(name)
    copy.update(id=envelope_id, region=region)
    for finding in copy["detail"]["findings"]:
        finding["ProcessedAt"] = "2026-11-20T08:04:02.977Z"
    return compact(copy)


def notification(name):
    """An SNS message around an event."""
    return compact(
        {
            "Type": "Notification",
            "MessageId": "5c1b0f0e-6f2a-5d0b-9b6a-000000000001",
            "TopicArn": "arn:aws:sns:eu-north-1:111122223333:health-events",
            "Subject": "AWS Health",
            "Message": record(name),
            "Timestamp": "2026-11-21T08:10:11.250Z",
            "SignatureVersion": "1",
        }
    )


def error_record(raw):
    """What Firehose keeps of a record that a Lambda could not transform."""
    return compact(
        {
            "attemptsMade": 4,
            "arrivalTimestamp": 1795239600135,
            "errorCode": "Lambda.FunctionTimedOut",
            "errorMessage": "The function did not answer in time",
            "attemptEndingTimestamp": 1795239688263,
            "rawData": raw,
            "lambdaArn": "arn:aws:lambda:eu-central-1:111122223333:function:enrich:$LATEST",
        }
    )


# Compression


def gz(raw):
    return gzip.compress(raw, mtime=0)


def gz_members(raw, *cuts):
    ends = [*cuts, len(raw)]
    return b"".join(gz(raw[start:end]) for start, end in zip([0, *cuts], ends))


def zipped(raw, entry):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(entry), raw, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def zstd(raw):
    """One frame of raw blocks, the size of the content in its header."""
    size = 128 * 1024
    blocks = [raw[at : at + size] for at in range(0, len(raw), size)]
    frame = b"\x28\xb5\x2f\xfd" + bytes([0b1010_0000]) + struct.pack("<I", len(raw))
    for place, block in enumerate(blocks):
        last = place == len(blocks) - 1
        frame += (len(block) << 3 | last).to_bytes(3, "little") + block
    return frame


def snappy_block(raw):
    """A snappy block of one literal."""
    length, out = len(raw), bytearray()
    while length >= 0x80:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    return bytes(out) + b"\xf4" + struct.pack("<H", len(raw) - 1) + raw


def blocks_of(raw):
    size = 32 * 1024
    return [raw[at : at + size] for at in range(0, len(raw), size)]


def xerial(raw):
    out = b"\x82SNAPPY\x00" + struct.pack(">II", 1, 1)
    for block in map(snappy_block, blocks_of(raw)):
        out += struct.pack(">I", len(block)) + block
    return out


def hadoop_snappy(raw):
    out = b""
    for part in blocks_of(raw):
        block = snappy_block(part)
        out += struct.pack(">II", len(part), len(block)) + block
    return out


# Objects


def objects():
    """(key, bytes) of each object, in the order of arrival."""
    stream = "health-events"
    uuid = "5a3c9e10-7d42-4b6f-8e21-{:012d}".format

    first = record("health-ec2-issue-open") + record("health-rds-upcoming")
    first += record("hub-imported-health") + record("hub-imported-guardduty")
    yield f"health/2026/11/20/08/{stream}-1-2026-11-20-08-02-11-{uuid(1)}.gz", gz(first.encode())

    # Two members whose border lies inside a record, and a member of nothing at the end.
    second = record("health-ec2-issue-update")
    second += backup(
        "health-ec2-issue-open",
        "7f0e1d2c-3b4a-4596-8778-695a4b3c2d01",
        "2026-11-20T08:02:07Z",
        "us-west-2",
    )
    second += record("health-s3-public") + record("health-ec2-issue-open")
    second += aggregated(
        "hub-imported-health", "7f0e1d2c-3b4a-4596-8778-695a4b3c2d02", "eu-central-1"
    )
    raw = second.encode()
    yield (
        f"health/2026/11/20/09/{stream}-1-2026-11-20-09-15-40-{uuid(2)}.gz",
        gz_members(raw, 1000, len(raw)),
    )

    third = record("health-eks-page-1") + record("health-eks-page-2")
    third += record("health-ec2-issue-closed")
    yield (
        f"health/2026/11/20/23/{stream}-1-2026-11-20-23-59-52-{uuid(3)}.zip",
        zipped(third.encode(), uuid(30)),
    )

    # Not compressed, a byte order mark, lines of CRLF; copies that came after midnight.
    fourth = [
        backup(
            "health-eks-page-2",
            "7f0e1d2c-3b4a-4596-8778-695a4b3c2d03",
            "2026-11-21T00:00:03Z",
            "us-west-2",
        ),
        record("health-ec2-issue-closed"),
        record("health-legacy-volume"),
    ]
    yield (
        f"health/2026/11/21/00/{stream}-1-2026-11-21-00-00-09-{uuid(4)}",
        b"\xef\xbb\xbf" + "".join(line + "\r\n" for line in fourth).encode(),
    )

    # From here on the stream has another version: its configuration was changed.
    fifth = record("hub-custom-action-health") + record("hub-insight-results")
    fifth += record("hub-v2-health") + record("hub-v2-inspector")
    yield f"health/2026/11/21/06/{stream}-2-2026-11-21-06-10-04-{uuid(5)}.zst", zstd(fifth.encode())

    sixth = record("health-abuse-scan") + record("health-rds-closed")
    yield f"health/2026/11/21/06/{stream}-2-2026-11-21-06-31-00-{uuid(6)}.snappy", xerial(
        sixth.encode()
    )

    seventh = record("health-mock-date") + record("api-call")
    yield f"health/2026/11/21/07/{stream}-2-2026-11-21-07-01-30-{uuid(7)}.snappy", hadoop_snappy(
        seventh.encode()
    )

    # One array over many lines, as a person or a script may have put it there.
    names = ("asff-bare-acm", "ocsf-bare-risk", "detail-lambda", "health-api-object", "not-ours")
    names += ("asff-without-time", "asff-without-id")
    array = json.dumps([event(name) for name in names], indent=2, ensure_ascii=False)
    yield f"health/2026/11/21/07/by-hand-2026-11-21.json", array.encode()

    # Plain bytes under a suffix of gzip; a backslash and an n between the documents.
    ninth = notification("health-vpn") + "\\n" + json.dumps(event("api-findings-ses")) + "\\n"
    yield f"health/2026/11/21/08/{stream}-2-2026-11-21-08-10-15-{uuid(9)}.gz", ninth.encode()

    # A record that was cut by its producer, and bytes of no text, between good documents.
    cut = record("hub-v2-inspector")
    tenth = record("health-s3-public").encode() + cut[: cut.index("A crafted") + 20].encode()
    tenth += record("health-rds-upcoming").encode() + b"\xff\x00\xc1\x01"
    tenth += record("health-rds-closed").encode()
    yield f"health/2026/11/21/09/{stream}-2-2026-11-21-09-00-00-{uuid(10)}.gz", gz(tenth)

    # The upload of this one stopped in the middle: what is missing hides a third event.
    whole = [record("health-ec2-issue-update"), record("hub-imported-guardduty")]
    kept = "".join(whole) + record("health-abuse-scan")[:400]
    yield (
        f"health/2026/11/21/10/{stream}-2-2026-11-21-10-00-00-{uuid(11)}.gz",
        cut_gzip(kept.encode()),
    )

    errors = error_record(base64.b64encode(record("health-billing").encode()).decode()) + "\n"
    errors += error_record("this is not base64") + "\n"
    yield (
        f"error/processing-failed/2026/11/21/05/{stream}-2-2026-11-21-05-40-02-{uuid(12)}.gz",
        gz(errors.encode()),
    )

    yield "health_$folder$", b""


def cut_gzip(raw):
    """A member of which all of `raw` can be read, and after that nothing: no end, no checksum."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = deflate.compress(raw) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + body


def main():
    if sys.argv[1:] == ["--check"]:
        sys.exit(check())
    shutil.rmtree(ARCHIVE, ignore_errors=True)
    for key, stored in objects():
        path = os.path.join(ARCHIVE, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(stored)


def check():
    """0 when the archive holds the same objects with the same content."""
    sys.path.insert(0, os.path.join(HERE, "..", "tests", "oracle"))
    sys.dont_write_bytecode = True
    from unpack import unpack

    found = {}
    for folder, _, names in os.walk(ARCHIVE):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, ARCHIVE).replace(os.sep, "/")] = file.read()
    different = [
        key
        for key, stored in objects()
        if unpack(found.pop(key, b"missing")) != unpack(stored)
    ]
    for key in different + sorted(found):
        print(f"not as samples/events/ says: {key}")
    return 1 if different or found else 0


if __name__ == "__main__":
    main()
