"""The policy of the run against a server that enforces IAM (moto): it is enough, and nothing of it can go.

    python tests/foreign/iam.py PROGRAM MOTO_SERVER POLICY

The run fills a lake with the whole policy; then, for each permission in turn, with all but that one: the run must
fail (or lose an object), and its message must name the permission that is missing and a resource of it. What `doctor`
alone needs is tried on it.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

import boto3

ROLE = "healthtrail-run"
# Resources that a small run does not reach: lists of more than 10,000 objects, checkpoints, staged files read back.
RARE = {"_healthtrail/objects/*", "_healthtrail/checkpoints/*", "GetObject _healthtrail/staging/*"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    def __init__(self, program):
        self.url = f"http://127.0.0.1:{free_port()}"
        environment = os.environ | {"INITIAL_NO_AUTH_ACTION_COUNT": "1000000"}
        arguments = [program, "-H", "127.0.0.1", "-p", self.url.rsplit(":", 1)[1]]
        self.process = subprocess.Popen(
            arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(600):
            try:
                urllib.request.urlopen(self.url + "/moto-api/", timeout=5).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        raise SystemExit("moto did not start")

    def enforce(self, is_on):
        body = b"0" if is_on else b"1000000"
        headers = {"Content-Type": "text/plain"}
        request = urllib.request.Request(self.url + "/moto-api/reset-auth", body, headers)
        urllib.request.urlopen(request, timeout=30).close()

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="setup",
            aws_secret_access_key="setup",
        )


def prepare(server, samples):
    s3, iam = server.client("s3"), server.client("iam")
    for bucket in ("my-archive", "my-lake"):
        s3.create_bucket(Bucket=bucket)
    for folder, _, names in os.walk(samples):
        for name in names:
            path = os.path.join(folder, name)
            key = "health/" + os.path.relpath(path, samples)
            with open(path, "rb") as file:
                s3.put_object(Bucket="my-archive", Key=key, Body=file.read())
    iam.create_user(UserName=ROLE)
    return iam.create_access_key(UserName=ROLE)["AccessKey"]


def clear_lake(server):
    s3 = server.client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket="my-lake"):
        for entry in page.get("Contents", []):
            s3.delete_object(Bucket="my-lake", Key=entry["Key"])


def run(server, program, key, policy, command="run"):
    """Fills an empty lake under this policy, or looks at it: exit code and messages."""
    server.enforce(False)
    clear_lake(server)
    iam = server.client("iam")
    iam.put_user_policy(UserName=ROLE, PolicyName="p", PolicyDocument=json.dumps(policy))
    server.enforce(True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }
    arguments = ["--from", "s3://my-archive/health", "--to", "s3://my-lake/health"]
    arguments += ["--endpoint-url", server.url]
    if command == "run":
        arguments += ["--progress", "none"]
    ran = subprocess.run(
        [program, command, *arguments], env=environment, capture_output=True, text=True, timeout=300
    )
    # What `doctor` finds is its output.
    return ran.returncode, ran.stdout + ran.stderr


def without(policy, action, resource):
    """The policy without one action on one resource."""
    statements = []
    for statement in policy["Statement"]:
        for one in statement["Action"]:
            rest = [r for r in statement["Resource"] if (one, r) != (action, resource)]
            if rest:
                statements.append(statement | {"Action": [one], "Resource": rest})
    for number, statement in enumerate(statements):
        statement["Sid"] = f"S{number}"
    return policy | {"Statement": statements}


def main():
    program, moto_server, policy_file = sys.argv[1:]
    with open(policy_file, encoding="utf-8") as file:
        policy = json.load(file)
    server = Server(moto_server)
    try:
        key = prepare(server, "samples/archive")
        code, said = run(server, program, key, policy)
        assert code == 0, f"the policy is not enough: {code}\n{said}"
        code, said = run(server, program, key, policy, "doctor")
        assert code == 0, f"the policy is not enough for doctor: {code}\n{said}"
        tried = 0
        for statement in policy["Statement"]:
            for action in statement["Action"]:
                for resource in statement["Resource"]:
                    below = resource.removeprefix("arn:aws:s3:::my-lake/health/")
                    is_rare = below in RARE or f"{action[3:]} {below}" in RARE
                    if not action.startswith("s3:") or is_rare:
                        continue
                    command = "doctor" if "/doctor/" in resource else "run"
                    code, said = run(server, program, key, without(policy, action, resource), command)
                    told = f"without {action} on {resource}: {code}\n{said}"
                    print(f"  without {action:16} on {resource}: exit code {code}")
                    # Staging that stays is tidied up by the next run: a warning, and no failure.
                    is_tidying = action == "s3:DeleteObject" and "/staging/" in resource
                    assert code in ((0,) if is_tidying else (1, 3)), told
                    assert "this needs" in said and action in said, told
                    named = re.escape(resource).replace(r"\*", ".*")
                    assert re.search(named, said), told
                    tried += 1
        assert tried >= 10, tried
        print(f"the policy of the run is enough, and each of {tried} permissions is needed and named")
    finally:
        server.process.terminate()
        server.process.wait(timeout=30)


main()
