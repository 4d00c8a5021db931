"""Creates deploy/healthtrail.yaml on LocalStack's CloudFormation, whole, and says which of its resources that does not
know; then sends an event by EventBridge through the stack's own rule and stream, and reads it with the program.

    whole_stack.py TEMPLATE PROGRAM ENDPOINT WORK

Runs in LocalStack's own environment, whose list of known types it reads.
"""

import json
import os
import subprocess
import sys
import time

import boto3
from localstack.services.cloudformation.resource_provider import plugin_manager

TEMPLATE, PROGRAM, ENDPOINT, WORK = sys.argv[1:]
REGION = "us-east-1"
WAIT_SECONDS = 300
# What the free LocalStack has no service for: CloudFormation there notes them as made, and makes nothing.
UNKNOWN = {
    "AWS::Athena::NamedQuery",
    "AWS::Athena::WorkGroup",
    "AWS::ECS::Cluster",
    "AWS::ECS::TaskDefinition",
    "AWS::Glue::Database",
    "AWS::Glue::Table",
}

# What is altered: LocalStack makes up no name for a stream, as CloudFormation does, and takes `${!dt}`, with which
# CloudFormation writes `${dt}`, for the name of a resource; it stands in the tables, which are not made there.
NAMELESS = "    Type: AWS::KinesisFirehose::DeliveryStream\n"
NAMED = NAMELESS + "    Properties:\n      DeliveryStreamName: !Sub \"${AWS::StackName}-stream\"\n"


def altered(template):
    before, after = template.replace("${!", "{").split(NAMELESS)
    between, rest = after.split("    Properties:\n", 1)
    if len(between) > 200:
        sys.exit(f"the stream's properties do not follow its type: {between}")
    return before + between + NAMED + rest


def client(name):
    return boto3.client(name, region_name=REGION, endpoint_url=ENDPOINT)


def same(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: {found!r}, where {expected!r} was expected")
    print(f"ok  {what}")


def create(name, parameters, url):
    """The stack's resources that were made, by logical name: type and physical id."""
    cloudformation = client("cloudformation")
    cloudformation.create_stack(
        StackName=name,
        TemplateURL=url,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    until = time.monotonic() + WAIT_SECONDS
    while (status := cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]) == "CREATE_IN_PROGRESS":
        if time.monotonic() > until:
            sys.exit(f"the stack {name} was not made in {WAIT_SECONDS} s")
        time.sleep(0.2)
    if status != "CREATE_COMPLETE":
        events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        reasons = [event.get("ResourceStatusReason") for event in events]
        sys.exit(f"the stack {name} is {status}: {[reason for reason in reasons if reason]}")
    known = set(plugin_manager.list_names())
    made, skipped = {}, {}
    for resource in cloudformation.describe_stack_resources(StackName=name)["StackResources"]:
        kind = resource["ResourceType"]
        side = made if kind in known else skipped
        side[resource["LogicalResourceId"]] = (kind, resource["PhysicalResourceId"])
    print(f"stack {name}: {len(made)} resources by LocalStack's CloudFormation, {len(skipped)} skipped")
    for logical, (kind, _) in sorted(skipped.items(), key=lambda item: item[1]):
        print(f"  skipped  {kind:<40} {logical}")
    strange = {kind for kind, _ in skipped.values()} - UNKNOWN
    same(f"{name}: types that were skipped and are not known to be", strange, set())
    return {logical: physical for logical, (_, physical) in made.items()}


def check_buckets(made):
    s3 = client("s3")
    for name in ["ArchiveBucket", "LakeBucket", "ResultsBucket"]:
        if name not in made:
            continue
        bucket = made[name]
        block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        same(f"{name} is closed to the public", len(block) == 4 and all(block.values()), True)
        rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
        same(f"{name} is encrypted", "ApplyServerSideEncryptionByDefault" in rule, True)
        policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
        same(f"{name} refuses plain http", "aws:SecureTransport" in policy, True)
        if name != "ResultsBucket":
            same(f"{name} has versions", s3.get_bucket_versioning(Bucket=bucket)["Status"], "Enabled")
        try:
            rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        except s3.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchLifecycleConfiguration":
                raise
            print(f"  skipped  LifecycleConfiguration of {name}; tests/deploy looks at it on moto")
            continue
        if name == "LakeBucket":
            same("nothing in the lake expires", [one for one in rules if "Expiration" in one or "Transitions" in one], [])


def check_stream(made):
    described = client("firehose").describe_delivery_stream(DeliveryStreamName=made["Stream"])
    described = described["DeliveryStreamDescription"]
    same("the stream is active", described["DeliveryStreamStatus"], "ACTIVE")
    target = described["Destinations"][0]["ExtendedS3DestinationDescription"]
    same("it compresses", target["CompressionFormat"], "GZIP")
    same("it fills the archive", target["BucketARN"], f"arn:aws:s3:::{made['ArchiveBucket']}")
    same("with an error prefix", target["ErrorOutputPrefix"].startswith("error/"), True)


def check_job(made):
    """What starts the task and who is told, as the services have it."""
    schedule = client("scheduler").get_schedule(Name=made["ScheduleOfTask"])
    same("the schedule is on", schedule["State"], "ENABLED")
    alarms = client("cloudwatch").describe_alarms()["MetricAlarms"]
    names = {alarm["AlarmName"] for alarm in alarms}
    own = {physical for logical, physical in made.items() if logical.endswith("Alarm")}
    same("the alarms are there", (own <= names, len(own) >= 4), (True, True))
    role = made["TaskRole"]
    iam = client("iam")
    document = iam.get_role_policy(RoleName=role, PolicyName="run")["PolicyDocument"]
    actions = {action for one in document["Statement"] for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])}
    same("the task's role can erase nothing in the tables", any("*" in action for action in actions), False)


def through(name, made):
    """One event of Health, and one that is for nobody."""
    detail = {
        "eventArn": "arn:aws:health:us-east-1::event/RDS/AWS_RDS_MAINTENANCE_SCHEDULED/by_the_stack",
        "service": "RDS", "eventTypeCode": "AWS_RDS_MAINTENANCE_SCHEDULED", "eventTypeCategory": "scheduledChange",
        "eventScopeCode": "ACCOUNT_SPECIFIC", "communicationId": "c-1", "startTime": "Tue, 24 Nov 2026 10:00:00 GMT",
        "statusCode": "upcoming", "eventRegion": REGION, "affectedAccount": "000000000000",
    }
    entry = {"Source": "aws.health", "DetailType": "AWS Health Event", "Detail": json.dumps(detail)}
    other = entry | {"Source": "aws.ec2"}
    answer = client("events").put_events(Entries=[entry, other])
    same("events that failed", answer["FailedEntryCount"], 0)
    s3 = client("s3")
    until = time.monotonic() + 60
    while not (found := s3.list_objects_v2(Bucket=made["ArchiveBucket"], Prefix="health/").get("Contents", [])):
        if time.monotonic() > until:
            sys.exit("the stack's rule and stream delivered nothing")
        time.sleep(0.2)
    same("objects that the rule and the stream delivered", len(found), 1)
    # LocalStack speaks plain http, which the bucket's policy refuses.
    s3.delete_bucket_policy(Bucket=made["ArchiveBucket"])
    environment = os.environ | {
        "AWS_ENDPOINT_URL_FIREHOSE": ENDPOINT,
        "HEALTHTRAIL_ENDPOINT_URL": ENDPOINT,
        "HEALTHTRAIL_PROGRESS": "none",
    }
    source = f"firehose://{made['Stream']}@{REGION}"
    arguments = ["run", "--from", source, "--to", f"{WORK}/{name}", "--summary", "-"]
    ran = subprocess.run([PROGRAM, *arguments], env=environment, capture_output=True, text=True, timeout=120)
    if ran.returncode != 0:
        sys.exit(f"{arguments}: exit code {ran.returncode}\n{ran.stdout}\n{ran.stderr}")
    same("findings added", json.loads(ran.stdout)["findings"]["added"], 1)


def main():
    s3, ec2 = client("s3"), client("ec2")
    s3.create_bucket(Bucket="templates")
    with open(TEMPLATE, encoding="utf-8") as file:
        body = altered(file.read()).encode()
    s3.put_object(Bucket="templates", Key="healthtrail.yaml", Body=body)
    url = f"{ENDPOINT}/templates/healthtrail.yaml"
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    base = {"ImageUri": "example.com/healthtrail:0.1.0", "VpcId": vpc, "SubnetIds": subnet}
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    repository = f"arn:aws:ecr:{REGION}:000000000000:repository/healthtrail"
    feed = create("feed", {"Job": "no"}, url)
    check_buckets(feed)
    check_stream(feed)
    through("feed", feed)
    plain = create("healthtrail", base, url)
    check_buckets(plain)
    check_stream(plain)
    check_job(plain)
    full = base | {
        "HealthScope": "organization", "SecurityHub": "both", "Products": "all", "Partition": "month",
        "DatabaseName": "everything", "KmsKeyArn": key, "AlarmEmail": "ops@example.com", "ArchiveExpireDays": "400",
        "ImageRepositoryArn": repository, "Architecture": "X86_64", "SecondArchive": feed["ArchiveBucket"],
    }
    everything = create("everything", full, url)
    check_buckets(everything)
    check_job(everything)
    print("stacks: created on LocalStack, and one event went through")


main()
