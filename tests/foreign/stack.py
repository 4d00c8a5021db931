"""Creates deploy/healthtrail.yaml on a stand-in for AWS (moto), and lets the nightly task's own command loose on it.

    stack.py TEMPLATE PROGRAM ENDPOINT

What the stand-in's CloudFormation knows is made by it. What it does not know is left out of its template, and sent to
the service's own API with the template's properties, as far as the stand-in has that service: so names, types and
limits are those of the API. What neither takes is listed as skipped.
"""

import copy
import json
import os
import subprocess
import sys
import warnings

import boto3
from cfnlint.decode import cfn_yaml
from moto.cloudformation.parsing import resource_class_from_type

warnings.simplefilter("ignore")
TEMPLATE, PROGRAM, ENDPOINT = sys.argv[1:]
REGION, ACCOUNT = "us-east-1", "123456789012"
template = cfn_yaml.load(TEMPLATE)


def client(name):
    return boto3.client(name, region_name=REGION, endpoint_url=ENDPOINT)


class Stack:
    """One stack, and what its template's intrinsic functions come to in it."""

    def __init__(self, name, parameters):
        self.name = name
        self.parameters = {key: value.get("Default", "") for key, value in template["Parameters"].items()}
        assert set(parameters) <= set(self.parameters), parameters
        self.parameters.update(parameters)
        self.made, self.by_api, self.skipped = {}, {}, {}

    def condition(self, name):
        return self.resolve(template["Conditions"][name])

    def wants(self, resource):
        return "Condition" not in resource or self.condition(resource["Condition"])

    def resources(self):
        return {name: own for name, own in template["Resources"].items() if self.wants(own)}

    def ref(self, name):
        pseudo = {
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": REGION,
            "AWS::Partition": "aws",
            "AWS::StackName": self.name,
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NoValue": None,
        }
        if name in pseudo:
            return pseudo[name]
        if name in self.parameters:
            value = self.parameters[name]
            match template["Parameters"][name]["Type"]:
                case "CommaDelimitedList":
                    return value.split(",")
                case "Number":
                    return int(value)
                case _:
                    return str(value)
        return self.made.get(name) or self.own_name(name)

    def own_name(self, name):
        """What a resource is called that is made by its own API."""
        own = template["Resources"][name]
        match own["Type"]:
            case "AWS::Glue::Database":
                return self.resolve(own["Properties"]["DatabaseInput"]["Name"])
            case "AWS::Athena::WorkGroup" | "AWS::Logs::LogStream":
                return self.resolve(own["Properties"].get("Name") or own["Properties"]["LogStreamName"])
            case _:
                return f"{self.name}-{name}"

    def for_cloudformation(self):
        """The template without what the stand-in's CloudFormation does not know."""
        known = {}
        for name, own in template["Resources"].items():
            if resource_class_from_type(own["Type"]):
                known[name] = own
        gone = set(template["Resources"]) - set(known)

        def literal(value):
            if isinstance(value, list):
                made = [literal(one) for one in value]
                return [one for one in made if one is not None]
            if not isinstance(value, dict):
                return value
            # The stand-in puts null where `AWS::NoValue` would take a list's element away.
            if "Fn::If" in value:
                condition, yes, no = value["Fn::If"]
                return literal(yes if self.condition(condition) else no)
            if value == {"Ref": "AWS::NoValue"}:
                return None
            if "Ref" in value and value["Ref"] in gone:
                return self.own_name(value["Ref"])
            if "Fn::GetAtt" in value:
                argument = value["Fn::GetAtt"]
                name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
                return self.attribute(name, attribute) if name in gone else {"Fn::GetAtt": [name, attribute]}
            made = {key: literal(one) for key, one in value.items() if key != "DependsOn"}
            return {key: one for key, one in made.items() if one is not None}

        reduced = {key: copy.deepcopy(template[key]) for key in template if key not in ("Metadata", "Outputs", "Rules")}
        reduced["Resources"] = {name: literal(own) for name, own in known.items() if self.wants(own)}
        return json.dumps(reduced)

    def attribute(self, name, attribute):
        kind, id = template["Resources"][name]["Type"], self.ref(name)
        last = str(id).rsplit("/", 1)[-1].rsplit(":", 1)[-1]
        known = {
            ("AWS::S3::Bucket", "Arn"): f"arn:aws:s3:::{id}",
            ("AWS::IAM::Role", "Arn"): f"arn:aws:iam::{ACCOUNT}:role/{last}",
            ("AWS::SQS::Queue", "Arn"): f"arn:aws:sqs:{REGION}:{ACCOUNT}:{last}",
            ("AWS::SQS::Queue", "QueueName"): last,
            ("AWS::KinesisFirehose::DeliveryStream", "Arn"): f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/{id}",
            ("AWS::Logs::LogGroup", "Arn"): f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{id}:*",
            ("AWS::ECS::Cluster", "Arn"): f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{last}",
            ("AWS::EC2::SecurityGroup", "GroupId"): id,
        }
        return known[kind, attribute]

    def resolve(self, value):
        if isinstance(value, list):
            resolved = [self.resolve(one) for one in value]
            return [one for one in resolved if one is not None]
        if not isinstance(value, dict):
            return value
        if len(value) != 1 or not (next(iter(value)).startswith("Fn::") or next(iter(value)) in ("Ref", "Condition")):
            resolved = {key: self.resolve(one) for key, one in value.items()}
            return {key: one for key, one in resolved.items() if one is not None}
        name, argument = next(iter(value.items()))
        match name:
            case "Ref":
                return self.ref(argument)
            case "Condition":
                return self.condition(argument)
            case "Fn::If":
                return self.resolve(argument[1] if self.condition(argument[0]) else argument[2])
            case "Fn::Equals":
                one, two = self.resolve(argument)
                return str(one) == str(two)
            case "Fn::Not":
                return not self.resolve(argument[0])
            case "Fn::And":
                return all(self.resolve(argument))
            case "Fn::Or":
                return any(self.resolve(argument))
            case "Fn::GetAtt":
                name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
                return self.attribute(name, attribute)
            case "Fn::Join":
                return argument[0].join(self.resolve(argument[1]))
            case "Fn::Split":
                return self.resolve(argument[1]).split(argument[0])
            case "Fn::Select":
                return self.resolve(argument[1])[int(argument[0])]
            case "Fn::FindInMap":
                table, first, second = (self.resolve(one) for one in argument)
                return template["Mappings"][table][first][second]
            case "Fn::Sub":
                text, own = argument if isinstance(argument, list) else (argument, {})
                return self.substitute(text, {key: self.resolve(one) for key, one in own.items()})
        raise AssertionError(name)

    def substitute(self, text, own):
        parts = text.split("${")
        done = [parts[0]]
        for part in parts[1:]:
            name, rest = part.split("}", 1)
            if name.startswith("!"):
                done.append("${" + name[1:] + "}")
            elif name in own:
                done.append(str(own[name]))
            elif "." in name:
                done.append(str(self.attribute(*name.split(".", 1))))
            else:
                done.append(str(self.ref(name)))
            done.append(rest)
        return "".join(done)

    def create(self):
        cloudformation = client("cloudformation")
        cloudformation.create_stack(
            StackName=self.name,
            TemplateBody=self.for_cloudformation(),
            Parameters=[{"ParameterKey": key, "ParameterValue": str(value)} for key, value in self.parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        status = cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"]
        assert status == "CREATE_COMPLETE", status
        for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=self.name):
            for made in page["StackResourceSummaries"]:
                if made.get("PhysicalResourceId"):
                    self.made[made["LogicalResourceId"]] = made["PhysicalResourceId"]
        unwanted = set(self.made) - set(self.resources())
        assert not unwanted, f"made without their condition: {unwanted}"
        missing = {name: own for name, own in self.resources().items() if name not in self.made}
        # What others refer to comes first.
        for name, own in sorted(missing.items(), key=lambda item: ORDER.index(item[1]["Type"]) if item[1]["Type"] in ORDER else 99):
            create = BY_API.get(own["Type"])
            if create:
                create(self, name, self.resolve(own["Properties"]))
                self.by_api[name] = self.own_name(name)
            else:
                self.skipped[name] = own["Type"]
        for name, own in self.resources().items():
            if own["Type"] == "AWS::S3::Bucket":
                finish_bucket(self.made[name], self.resolve(own["Properties"]))

    def tell(self):
        print(f"stack {self.name}: {len(self.made)} resources by CloudFormation, {len(self.by_api)} by their own API, {len(self.skipped)} skipped")
        for how, names in [("own API", self.by_api), ("skipped", self.skipped)]:
            for name in names:
                print(f"  {how:<8} {template['Resources'][name]['Type']:<40} {name}")


def finish_bucket(bucket, own):
    """What the stand-in's CloudFormation leaves out of a bucket, by S3's own API and its names."""
    s3 = client("s3")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=own["PublicAccessBlockConfiguration"])
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=own["OwnershipControls"])
    if "VersioningConfiguration" in own:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=own["VersioningConfiguration"])
    rules = []
    for rule in own["LifecycleConfiguration"]["Rules"]:
        rule = dict(rule) | {"ID": rule["Id"], "Filter": {"Prefix": rule.get("Prefix", "")}}
        if "ExpirationInDays" in rule:
            rule["Expiration"] = {"Days": rule["ExpirationInDays"]}
        for transition in rule.get("Transitions", []):
            transition["Days"] = transition.pop("TransitionInDays")
        rules.append({key: one for key, one in rule.items() if key not in ("Id", "Prefix", "ExpirationInDays")})
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


def database(stack, name, own):
    client("glue").create_database(DatabaseInput=own["DatabaseInput"])


def table(stack, name, own):
    client("glue").create_table(DatabaseName=own["DatabaseName"], TableInput=own["TableInput"])


def workgroup(stack, name, own):
    configuration = own["WorkGroupConfiguration"]
    client("athena").create_work_group(Name=own["Name"], Description=own["Description"], Configuration=configuration)


def named_query(stack, name, own):
    client("athena").create_named_query(**own)


def stream(stack, name, own):
    client("firehose").create_delivery_stream(DeliveryStreamName=stack.own_name(name), **own)


def schedule(stack, name, own):
    own["Target"]["EcsParameters"]["NetworkConfiguration"]["awsvpcConfiguration"] = own["Target"]["EcsParameters"]["NetworkConfiguration"].pop("AwsvpcConfiguration")
    client("scheduler").create_schedule(Name=stack.own_name(name), **own)


def alarm(stack, name, own):
    own = {key: float(value) if key == "Threshold" else value for key, value in own.items()}
    client("cloudwatch").put_metric_alarm(AlarmName=stack.own_name(name), **own)


def bucket_policy(stack, name, own):
    client("s3").put_bucket_policy(Bucket=own["Bucket"], Policy=json.dumps(own["PolicyDocument"]))


def queue_policy(stack, name, own):
    for queue in own["Queues"]:
        attributes = {"Policy": json.dumps(own["PolicyDocument"])}
        client("sqs").set_queue_attributes(QueueUrl=queue, Attributes=attributes)


def topic_policy(stack, name, own):
    for topic in own["Topics"]:
        policy = json.dumps(own["PolicyDocument"])
        client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)


def subscription(stack, name, own):
    client("sns").subscribe(**own)


def log_stream(stack, name, own):
    client("logs").create_log_stream(logGroupName=own["LogGroupName"], logStreamName=own["LogStreamName"])


BY_API = {
    "AWS::Logs::LogStream": log_stream,
    "AWS::KinesisFirehose::DeliveryStream": stream,
    "AWS::Glue::Database": database,
    "AWS::Glue::Table": table,
    "AWS::Athena::WorkGroup": workgroup,
    "AWS::Athena::NamedQuery": named_query,
    "AWS::Scheduler::Schedule": schedule,
    "AWS::CloudWatch::Alarm": alarm,
    "AWS::S3::BucketPolicy": bucket_policy,
    "AWS::SQS::QueuePolicy": queue_policy,
    "AWS::SNS::TopicPolicy": topic_policy,
    "AWS::SNS::Subscription": subscription,
}
ORDER = list(BY_API)


def healthtrail(*arguments, code=0, **environment):
    surroundings = {key: value for key, value in os.environ.items() if not key.startswith("HEALTHTRAIL_")}
    ran = subprocess.run([PROGRAM, *arguments], env=surroundings | environment, capture_output=True, text=True)
    assert ran.returncode == code, f"{arguments}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def takes(pattern, event):
    """Whether an event fits a pattern, by EventBridge's rules as far as the template uses them: the stand-in knows neither
    `suffix` nor lists of objects."""
    for key, wanted in pattern.items():
        if key == "$or":
            if not any(takes(one, event) for one in wanted):
                return False
        elif isinstance(wanted, dict):
            inner = event.get(key, {})
            if not any(takes(wanted, one) for one in (inner if isinstance(inner, list) else [inner])):
                return False
        else:
            found = event.get(key)
            values = found if isinstance(found, list) else [found]
            if not any(takes_value(one, value) for one in wanted for value in values):
                return False
    return True


def takes_value(wanted, value):
    match wanted:
        case {"exists": exists}:
            return (value is not None) == exists
        case {"suffix": suffix}:
            return isinstance(value, str) and value.endswith(suffix)
        case {"anything-but": others}:
            return value is not None and value not in others
        case dict():
            raise AssertionError(wanted)
        case _:
            return value == wanted


def check_patterns(stack):
    """Each rule takes what it is for, and nothing else."""

    def matches(name, event):
        pattern = stack.resolve(template["Resources"][name]["Properties"]["EventPattern"])
        return takes(pattern, event)

    def health(affected, kind="AWS Health Event"):
        detail = {"service": "EC2"} | ({"affectedAccount": affected} if affected else {})
        return {"source": "aws.health", "detail-type": kind, "account": ACCOUNT, "detail": detail}

    everyone = stack.condition("IsOrganization")
    for event, expected in [
        (health(ACCOUNT), True),
        (health(None), True),
        (health(ACCOUNT, "AWS Health Abuse Event"), True),
        (health("999999999999"), everyone),
        (health(ACCOUNT, "AWS API Call via CloudTrail"), False),
        ({"source": "aws.ec2", "detail-type": "AWS Health Event", "detail": {}}, False),
    ]:
        assert matches("HealthRule", event) == expected, (event, expected)

    every = stack.condition("TakesAllProducts")
    for rule, kind, finding in [
        ("AsffRule", "Security Hub Findings - Imported", lambda arn: {"ProductArn": arn}),
        ("OcsfRule", "Findings Imported V2", lambda arn: {"metadata": {"product": {"uid": arn}}}),
    ]:
        if not stack.wants(template["Resources"][rule]):
            continue
        for product, kind_of_event, expected in [
            ("aws/health", kind, True),
            ("aws/guardduty", kind, every),
            ("aws/health", "Security Hub Insight Results", False),
        ]:
            arn = f"arn:aws:securityhub:{REGION}::product/{product}"
            event = {"source": "aws.securityhub", "detail-type": kind_of_event, "detail": {"findings": [finding(arn)]}}
            assert matches(rule, event) == expected, (rule, event)


    if "Cluster" not in stack.made:
        return
    for codes, stop, status, expected in [
        ([0], "EssentialContainerExited", "STOPPED", False),
        ([1], "EssentialContainerExited", "STOPPED", True),
        ([3], "EssentialContainerExited", "STOPPED", True),
        ([1], "EssentialContainerExited", "RUNNING", False),
        ([], "TaskFailedToStart", "STOPPED", True),
        ([None], "TaskFailedToStart", "STOPPED", True),
        ([137], "UserInitiated", "STOPPED", True),
    ]:
        containers = [{"name": "healthtrail"} | ({} if code is None else {"exitCode": code}) for code in codes]
        detail = {"clusterArn": stack.attribute("Cluster", "Arn"), "lastStatus": status, "stopCode": stop, "containers": containers}
        event = {"source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": detail}
        assert matches("TaskFailedRule", event) == expected, event
        other = event | {"detail": detail | {"clusterArn": "arn:aws:ecs:us-east-1:123456789012:cluster/other"}}
        assert not matches("TaskFailedRule", other), other


def check_buckets(stack):
    s3 = client("s3")
    for name in ["ArchiveBucket", "LakeBucket", "ResultsBucket"]:
        if name not in stack.made:
            continue
        bucket = stack.made[name]
        block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        assert len(block) == 4 and all(block.values()), block
        assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
        rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        if name != "ResultsBucket":
            assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        if name == "LakeBucket":
            # Nothing that is in the lake ever expires or moves, and nothing at all touches the log.
            for rule in rules:
                assert "Expiration" not in rule and "Transitions" not in rule, rule
                prefix = rule.get("Prefix") or rule.get("Filter", {}).get("Prefix", "")
                if "NoncurrentVersionExpiration" in rule:
                    assert prefix and not "health/_healthtrail/log/".startswith(prefix), rule


def check_run(stack):
    """The nightly task, as its definition has it, and the tables it registers."""
    ecs, glue, s3 = client("ecs"), client("glue"), client("s3")
    task = ecs.describe_task_definition(taskDefinition=stack.made["Task"])["taskDefinition"]
    container = task["containerDefinitions"][0]
    assert container["readonlyRootFilesystem"] and container["user"] == "65532:65532", container
    environment = {one["name"]: one["value"] for one in container["environment"]}
    environment |= {"HEALTHTRAIL_ENDPOINT_URL": ENDPOINT, "HEALTHTRAIL_GLUE_ENDPOINT_URL": ENDPOINT}
    archive, lake = stack.made["ArchiveBucket"], environment["HEALTHTRAIL_TO"]
    # The stand-in speaks plain http, which the buckets' policies refuse.
    for bucket in [archive, stack.made["LakeBucket"]]:
        s3.delete_bucket_policy(Bucket=bucket)

    # One event by way of the stream, the rest from the generator: the stand-in neither packs nor compresses.
    detail = {
        "eventArn": "arn:aws:health:us-east-1::event/EC2/AWS_EC2_OPERATIONAL_ISSUE/AWS_EC2_OPERATIONAL_ISSUE_1",
        "service": "EC2", "eventTypeCode": "AWS_EC2_OPERATIONAL_ISSUE", "eventTypeCategory": "issue",
        "eventScopeCode": "ACCOUNT_SPECIFIC", "communicationId": "c1-1", "statusCode": "open",
        "eventRegion": REGION, "page": "1", "totalPages": "1", "affectedAccount": ACCOUNT,
    }
    event = {
        "version": "0", "id": "00000001-0000-4000-8000-000000000000", "detail-type": "AWS Health Event",
        "source": "aws.health", "account": ACCOUNT, "time": "2026-11-20T10:00:00Z", "region": REGION,
        "resources": [], "detail": detail,
    }
    event = json.dumps(event).encode()
    client("firehose").put_record(DeliveryStreamName=stack.by_api["Stream"], Record={"Data": event})
    objects = s3.list_objects_v2(Bucket=archive)["Contents"]
    assert len(objects) == 1 and objects[0]["Key"].startswith("health/"), objects
    endpoint = {"HEALTHTRAIL_ENDPOINT_URL": ENDPOINT}
    healthtrail("generate", "--to", f"s3://{archive}", "--objects", "20", "--events", "400", "--days", "40", **endpoint)

    said = healthtrail(*container["command"], **environment)
    print("  " + said.replace("\n", "\n  ").rstrip())
    again = healthtrail(*container["command"], **environment)

    reach = ["--lake", lake]
    names = environment["HEALTHTRAIL_REGISTER"]
    wanted = json.loads(healthtrail("ddl", *reach, "--database", names, "--catalog", "glue-json", **endpoint))
    key = "month" if stack.condition("IsMonth") else "dt"
    for one in wanted:
        input = one["TableInput"]
        present = glue.get_table(DatabaseName=names, Name=input["Name"])["Table"]
        theirs = {name: present[name] for name in input}
        own, other = (side["Parameters"].pop(f"projection.{key}.range") for side in (input, theirs))
        assert theirs == input, f"Glue has\n{theirs}\nddl prints\n{input}"
        assert other.split(",")[0] <= own.split(",")[0], (other, own)
    register = ["register", *reach, "--database", names, "--glue-endpoint-url", ENDPOINT]
    assert json.loads(healthtrail(*register, "--json", **endpoint))["is_current"], again

    # Somebody's own parameter stays, an older version's table gets what it lacks.
    table = glue.get_table(DatabaseName=names, Name="findings")["Table"]
    known = ["Name", "Description", "TableType", "PartitionKeys", "StorageDescriptor", "Parameters"]
    older = {name: table[name] for name in known}
    last = older["StorageDescriptor"]["Columns"].pop()
    older["Parameters"] |= {"team": "blue", f"projection.{key}.range": "2026-12,NOW" if key == "month" else "2026-12-01,NOW"}
    older["Owner"] = "them"
    glue.update_table(DatabaseName=names, TableInput=older)
    changed = json.loads(healthtrail(*register, "--json", **endpoint))["tables"][0]
    assert changed["columns_added"] == [last["Name"]] and list(changed["parameters_set"]) == [f"projection.{key}.range"], changed
    table = glue.get_table(DatabaseName=names, Name="findings")["Table"]
    assert table["StorageDescriptor"]["Columns"][-1] == last and table["Parameters"]["team"] == "blue", table
    assert table["Owner"] == "them"
    older["StorageDescriptor"]["Columns"][0]["Type"] = "bigint"
    glue.update_table(DatabaseName=names, TableInput=older)
    healthtrail(*register, code=2, **endpoint)
    # A run with a table that it must not touch is done all the same, and says that it is.
    surroundings = os.environ | environment
    ran = subprocess.run([PROGRAM, "run"], env=surroundings, capture_output=True, text=True)
    assert ran.returncode == 1 and "is committed" in ran.stderr and "has the type `bigint`" in ran.stderr, ran

    views = json.loads(healthtrail("ddl", *reach, "--views", "--json", **endpoint))[2:]
    athena = client("athena")
    ids = athena.list_named_queries(WorkGroup=stack.by_api["WorkGroup"])["NamedQueryIds"]
    queries = sorted((athena.get_named_query(NamedQueryId=id)["NamedQuery"] for id in ids), key=lambda q: q["Name"])
    assert [query["QueryString"].rstrip("\n") for query in queries] == views
    assert all(query["Database"] == names for query in queries)


base = {"ImageUri": "example.com/healthtrail:0.1.0", "VpcId": "", "SubnetIds": ""}
vpc = client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
base["VpcId"] = vpc
base["SubnetIds"] = client("ec2").create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
repository = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/healthtrail"
key = client("kms").create_key()["KeyMetadata"]["Arn"]
stacks = [
    Stack("healthtrail", base),
    Stack("feed", {"Job": "no"}),
]
full = base | {
    "HealthScope": "organization", "SecurityHub": "both", "Products": "all", "Partition": "month",
    "DatabaseName": "everything", "KmsKeyArn": key, "AlarmEmail": "ops@example.com", "ArchiveExpireDays": "400",
    "ImageRepositoryArn": repository, "Architecture": "X86_64",
}
for stack in stacks:
    stack.create()
stacks.append(Stack("everything", full | {"SecondArchive": stacks[1].made["ArchiveBucket"]}))
stacks[-1].create()
for stack in stacks:
    stack.tell()
    check_patterns(stack)
    check_buckets(stack)
    if stack.condition("HasJob"):
        check_run(stack)
print("stacks: created, run and registered")
