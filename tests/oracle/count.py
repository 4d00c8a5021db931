#!/usr/bin/env python3
"""Counts the rows that an archive should give, without any of the program's code.

    python3 tests/oracle/count.py ARCHIVE [--products health|all]

In: a folder in Firehose's layout. Out: JSON on standard output: documents, findings and rejects by
what becomes of them, and the distinct rows by service, account and day of `reported_at`. It is the
second opinion that tests and people compare a lake with: where the program hashes, this compares
the canonical texts themselves; where the program scans bytes, this lets `json` decode and tries
again. It is meant for archives that are well formed for the most part, and holds one object and
one digest for each row in memory.
"""

import argparse
import base64
import calendar
import hashlib
import json
import os
import re
import sys
from collections import Counter
from datetime import datetime, timedelta, timezone

sys.dont_write_bytecode = True
from unpack import unpack  # noqa: E402

DAY_S = 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
EARLIEST_S = calendar.timegm((2015, 1, 1, 0, 0, 0))
LATEST_S = calendar.timegm((2101, 1, 1, 0, 0, 0))
BETWEEN = re.compile(r"(?:[ \t\r\n,\ufeff]|\\n|\\r)+")
OPENING = re.compile(r"[{\[]")
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
RFC_1123 = re.compile(
    r"(?:[A-Za-z]+, *)?(\d{1,2}) ([A-Za-z]{3}) (\d{4}) (\d\d):(\d\d):(\d\d) (?:GMT|UTC|Z|\+0000)$"
)
ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:[Zz]|([+-])(\d\d)(?::?(\d\d))?)$"
)


def not_json(name):
    raise ValueError(name)


# A float is kept by its text, so that 7.50 and 7.5 stay two.
DECODER = json.JSONDecoder(parse_float=lambda text: f"\0{text}", parse_constant=not_json)


class Counts:
    def __init__(self, products):
        self.products = products
        self.objects = Counter()
        self.documents = Counter()
        self.findings = Counter()
        self.passed_over = Counter()
        self.rejects = Counter()
        self.rows = {}

    def as_json(self):
        by_place = Counter(self.rows.values())
        rows = [
            {"service": service, "account": account, "day": day, "shape": shape, "rows": count}
            for (service, account, day, shape), count in by_place.items()
        ]
        rows.sort(key=lambda row: [row["day"], row["service"] or "", row["account"], row["shape"]])
        self.findings["added"] = len(self.rows)
        return {
            "products": self.products,
            "objects": self.objects,
            "documents": self.documents,
            "findings": self.findings,
            "rows_by_shape": Counter(shape for _, _, _, shape in self.rows.values()),
            "passed_over_by_kind": self.passed_over,
            "rejects": self.rejects,
            "rows": rows,
        }


# Bytes to documents


def split(text):
    """Yields ("document", value), or ("reject", reason) for what is none.

    Only the outermost array is opened. What follows a broken value is given up until an event, an
    SNS wrapper or an error record begins; what follows other bytes, until any object or array does.
    """
    at, inside = 0, False
    while at < len(text):
        gap = BETWEEN.match(text, at)
        if gap:
            at = gap.end()
            continue
        if text[at] == "[" and not inside:
            at, inside = at + 1, True
            continue
        if text[at] == "]" and inside:
            at, inside = at + 1, False
            continue
        try:
            value, end = DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, (dict, list)):
            yield "document", value
            at = end
            continue
        broken = text[at] in "{["
        end = next_start(text, at + 1, broken)
        cut = broken and end == len(text) and is_cut(text, at)
        yield "reject", "cut_document" if cut else "not_json"
        at = end


def next_start(text, at, broken):
    for opening in OPENING.finditer(text, at):
        try:
            value, _ = DECODER.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            continue
        if not broken or is_event(value) or is_sns(value) or is_error_record(value):
            return opening.start()
    return len(text)


def is_cut(text, at):
    """Whether the value only lacks its end: no fault lies before the end of the text."""
    try:
        DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        return error.pos >= len(text) or error.msg.startswith("Unterminated string")
    return False


# Documents to findings


def is_event(value):
    return (
        isinstance(value, dict)
        and "detail-type" in value
        and isinstance(value.get("detail"), dict)
    )


def is_sns(value):
    return (
        isinstance(value, dict)
        and value.get("Type") == "Notification"
        and isinstance(value.get("Message"), str)
    )


def is_error_record(value):
    return (
        isinstance(value, dict)
        and isinstance(value.get("rawData"), str)
        and ("attemptsMade" in value or "errorCode" in value or "lastErrorCode" in value)
    )


def parts(value):
    """What a document holds, as a list of (shape, body, envelope), of ("passed", kind, None), and
    of ("reject", reason, None); and whether it is a wrapper, whose parts count as findings."""
    if is_error_record(value):
        try:
            inner = base64.b64decode(value["rawData"], validate=True)
        except ValueError:
            return [("reject", "unreadable_wrapper", None)], False
        return wrapped(unpack(inner)[0].decode("utf-8", "replace"))
    if is_sns(value):
        return wrapped(value["Message"])
    if is_event(value):
        return of_event(value)
    if isinstance(value, dict) and isinstance(value.get("Findings"), list):
        return [of_finding(finding, None) for finding in value["Findings"]], True
    if isinstance(value, dict) and isinstance(value.get("eventArn"), str):
        return [("native", value, None)], False
    if isinstance(value, dict) and is_event_arn(value.get("arn")):
        return [("passed", "health_api", None)], False
    return [of_finding(value, None)], False


def wrapped(text):
    found = []
    for kind, value in split(text):
        found += parts(value)[0] if kind == "document" else [("reject", "unreadable_wrapper", None)]
    whole = bool(found) and any(shape != "reject" for shape, _, _ in found)
    return found or [("reject", "unreadable_wrapper", None)], whole


def of_event(event):
    detail = event["detail"]
    if isinstance(detail.get("findings"), list):
        return [of_finding(finding, event) for finding in detail["findings"]], True
    if "eventArn" in detail:
        return [("native", detail, event)], False
    if "insightArn" in detail or "insightResults" in detail:
        return [("passed", "insight_results", None)], False
    return [("passed", "other_event", None)], False


def of_finding(finding, event):
    if isinstance(finding, dict):
        if "ProductArn" in finding or "AwsAccountId" in finding:
            return "asff", finding, event
        if "class_uid" in finding and isinstance(finding.get("metadata"), dict):
            if finding.get("category_uid") == 2 or "finding_info" in finding:
                return "ocsf", finding, event
    return "passed", "unrecognised", None


def is_event_arn(text):
    return isinstance(text, str) and ":health:" in text and ":event/" in text


def is_health(shape, body):
    if shape == "native":
        return True
    if shape == "asff":
        fields = body.get("ProductFields") or {}
        arn = body.get("ProductArn") or ""
        names = (body.get("ProductName"), fields.get("aws/securityhub/ProductName"))
        return arn.endswith("product/aws/health") or "Health" in names
    product = body["metadata"].get("product") or {}
    ends = (":product/aws/health", ":productv2/aws/health")
    return str(product.get("uid")).endswith(ends) or product.get("name") == "Health"


# Findings to rows


def seconds(text):
    """Whole seconds since 1970, or None."""
    if isinstance(text, bool):
        return None
    if isinstance(text, int):
        found = text // 1000 if abs(text) >= 100_000_000_000 else text
        return found if EARLIEST_S <= found < LATEST_S else None
    if not isinstance(text, str):
        return None
    try:
        if match := RFC_1123.match(text):
            day, month, year, hour, minute, second = match.groups()
            month = MONTHS.index(month) + 1
            moment = datetime(int(year), month, int(day), int(hour), int(minute), int(second))
            offset = timedelta()
        elif match := ISO.match(text):
            moment = datetime(*(int(part) for part in match.groups()[:6]))
            sign, hours, minutes = match.groups()[6:]
            offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
            offset = -offset if sign == "-" else offset
        else:
            return None
    except ValueError:
        return None
    found = int((moment.replace(tzinfo=timezone.utc) - offset - EPOCH).total_seconds())
    return found if EARLIEST_S <= found < LATEST_S else None


def first_time(*texts):
    return next((found for found in map(seconds, texts) if found is not None), None)


def reported_s(shape, body, envelope_s):
    if shape == "native":
        updated = seconds(body.get("lastUpdatedTime"))
        if envelope_s is not None:
            near = updated is not None and -72 * 3600 <= updated - envelope_s <= 3600
            return updated if near else envelope_s
        return updated if updated is not None else seconds(body.get("startTime"))
    if envelope_s is not None:
        return envelope_s
    if shape == "asff":
        return first_time(body.get("UpdatedAt"), body.get("CreatedAt"))
    info = body.get("finding_info") or {}
    return first_time(
        info.get("modified_time"), info.get("modified_time_dt"), body.get("time"),
        body.get("time_dt"), info.get("created_time"), info.get("created_time_dt"),
    )


def canonical(value):
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def content(shape, body):
    if shape == "native":
        body = {name: value for name, value in body.items() if name != "backupEvent"}
        if isinstance(body.get("affectedEntities"), list):
            body["affectedEntities"] = sorted(body["affectedEntities"], key=canonical)
    elif shape == "asff":
        left_out = ("ProcessedAt", "AwsAccountName", "Region")
        body = {name: value for name, value in body.items() if name not in left_out}
    else:
        left_out = ("processed_time", "processed_time_dt", "logged_time", "logged_time_dt")
        body = {name: value for name, value in body.items() if name not in left_out}
        metadata = body["metadata"]
        body["metadata"] = {k: v for k, v in metadata.items() if k not in left_out}
    return canonical(body)


def any_case(body, name):
    if name in body:
        return body[name]
    return next((value for key, value in body.items() if key.lower() == name.lower()), None)


def identity(shape, body):
    """(product, id, account, service)"""
    if shape == "native":
        service = any_case(body, "service")
        return "", any_case(body, "eventArn"), any_case(body, "affectedAccount"), service
    if shape == "asff":
        product, uid = body.get("ProductArn"), body.get("Id")
        account = body.get("AwsAccountId")
    else:
        product = (body["metadata"].get("product") or {}).get("uid")
        uid = (body.get("finding_info") or {}).get("uid") or (body.get("finding") or {}).get("uid")
        uid = uid or body["metadata"].get("uid")
        account = ((body.get("cloud") or {}).get("account") or {}).get("uid")
    service = None
    if isinstance(uid, str) and uid.split(":")[2:3] == ["health"] and ":event/" in uid:
        parts = uid.split(":event/")[1].split("/")
        service = parts[0] if len(parts) >= 3 else None
    return product, uid, account, service


def row(shape, body, envelope):
    """((service, account, day, shape), digest), or the reason why there is none."""
    product, uid, account, service = identity(shape, body)
    if not uid:
        return "no_identity"
    envelope_s = seconds(envelope.get("time")) if envelope else None
    reported = reported_s(shape, body, envelope_s)
    if reported is None:
        return "no_time"
    account = account or (envelope or {}).get("account") or ""
    day = (EPOCH + timedelta(days=reported // DAY_S)).date().isoformat()
    told = envelope_s
    if shape == "native" and body.get("communicationId"):
        told = None
    key = [day, shape, product or "", uid, account, told, content(shape, body)]
    text = canonical(key).encode("utf-8", "surrogatepass")
    return (service, account, day, shape), hashlib.blake2b(text, digest_size=16).digest()


# The whole


def count_document(value, counts):
    found, is_wrapper = parts(value)
    rows, passed, rejected = [], [], []
    for shape, body, envelope in found:
        if shape == "passed":
            passed.append(body)
        elif shape == "reject":
            rejected.append(body)
        elif counts.products == "all" or is_health(shape, body):
            result = row(shape, body, envelope)
            (rejected if isinstance(result, str) else rows).append(result)
        else:
            passed.append("other_product")
    counts.passed_over.update(passed)
    counts.rejects.update(rejected)
    if rejected and not is_wrapper:
        counts.documents["rejected"] += 1
    elif not rows and not rejected:
        counts.documents["passed_over"] += 1
    else:
        counts.documents["with_findings"] += 1
        counts.findings["read"] += len(rows) + len(rejected) + len(passed)
        counts.findings["passed_over"] += len(passed)
        counts.findings["rejected"] += len(rejected)
    for place, digest in rows:
        if digest in counts.rows:
            counts.findings["duplicates"] += 1
        counts.rows.setdefault(digest, place)


def count_object(path, counts):
    with open(path, "rb") as file:
        stored = file.read()
    if not stored:
        counts.objects["skipped"] += 1
        return
    raw, sound = unpack(stored)
    counts.objects["read"] += 1
    for kind, value in split(raw.decode("utf-8", "replace")):
        counts.documents["read"] += 1
        if kind == "reject":
            # The cut of the stream explains the cut of the last document: one reject, not two.
            reason = "truncated_compression" if value == "cut_document" and not sound else value
            sound = sound or value == "cut_document"
            counts.documents["rejected"] += 1
            counts.rejects[reason] += 1
        else:
            count_document(value, counts)
    if not sound:
        # The stream ends, or is damaged, between two documents: the rest is one reject all the same.
        counts.documents.update(read=1, rejected=1)
        counts.rejects["truncated_compression"] += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive")
    parser.add_argument("--products", choices=("health", "all"), default="health")
    options = parser.parse_args()
    counts = Counts(options.products)
    for folder, folders, names in os.walk(options.archive):
        folders.sort()
        for name in sorted(names):
            count_object(os.path.join(folder, name), counts)
    json.dump(counts.as_json(), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    sys.setrecursionlimit(10_000)
    main()
