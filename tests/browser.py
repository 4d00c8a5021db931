#!/usr/bin/env python3
"""The two halves of tests/browser, with nothing but Python.

    browser.py hostile FROM TO                    an archive with hostile titles, services, accounts
    browser.py look CHROMIUM REPORT PICTURES      opens a report, checks it, takes pictures

Speaks the DevTools protocol over a pipe: JSON messages that end with a zero byte.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

HOSTILE = "</title></td></table><script>document.title='run'</script><img src=https://example.com/x onerror=\"document.title='run'\">'\" \u202egnp.exe"
VIEWS = {
    "light": (1100, 900, "light"),
    "dark": (1100, 900, "dark"),
    "narrow": (360, 740, "light"),
    "narrow-dark": (360, 740, "dark"),
}


class Browser:
    def __init__(self, chromium, profile):
        ours, theirs = os.pipe(), os.pipe()
        # Chromium reads from descriptor 3 and writes to 4.
        self.reads, self.writes = theirs[0], ours[1]
        command = [
            chromium, "--headless", "--remote-debugging-pipe", f"--user-data-dir={profile}",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-gpu", "--hide-scrollbars", "about:blank",
        ]
        if os.geteuid() == 0:
            command.insert(1, "--no-sandbox")

        def arrange():
            taken, given = os.dup2(ours[0], 10), os.dup2(theirs[1], 11)
            os.dup2(taken, 3)
            os.dup2(given, 4)

        self.process = subprocess.Popen(
            command, preexec_fn=arrange, close_fds=False, stderr=subprocess.DEVNULL
        )
        os.close(ours[0])
        os.close(theirs[1])
        self.buffer, self.number, self.session, self.events = b"", 0, None, []

    def receive(self, seconds):
        deadline = time.monotonic() + seconds
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.reads], [], [], left)[0]:
                return None
            data = os.read(self.reads, 1 << 20)
            if not data:
                sys.exit("the browser ended")
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def ask(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writes, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive(60)
            if answer is None:
                sys.exit(f"the browser does not answer {method}")
            if answer.get("id") == self.number:
                if "error" in answer:
                    sys.exit(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait(self, method):
        while not any(event.get("method") == method for event in self.events):
            event = self.receive(60)
            if event is None:
                sys.exit(f"the browser does not tell of {method}")
            self.events.append(event)

    def value(self, expression):
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def close(self):
        self.session = None
        self.ask("Browser.close")
        self.process.wait(30)


def look(chromium, report, pictures):
    address = "file://" + os.path.abspath(report)
    name = os.path.splitext(os.path.basename(report))[0]
    wrong = []
    profile = tempfile.mkdtemp()
    try:
        browser = Browser(chromium, profile)
        target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
        browser.session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Network", "Runtime", "Log", "Audits"]:
            browser.ask(domain + ".enable")
        browser.events.clear()
        browser.ask("Page.navigate", url=address)
        browser.wait("Page.loadEventFired")
        for view, (width, height, scheme) in VIEWS.items():
            browser.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
            browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            wide = browser.value("document.documentElement.scrollWidth")
            if wide > width:
                wrong.append(f"{view}: the page is {wide} wide in a window of {width}")
            charts = browser.value("[...document.querySelectorAll('svg')].filter(c => c.getBoundingClientRect().width > 50).length")
            if charts < 5:
                wrong.append(f"{view}: only {charts} charts")
            small = browser.value("Math.min(...[...document.querySelectorAll('svg text:not(.ct-tip)')].map(t => t.getBoundingClientRect().height).filter(h => h > 0))")
            if small < 8:
                wrong.append(f"{view}: a chart has text {small} high")
            size = browser.ask("Page.getLayoutMetrics")["cssContentSize"]
            picture = browser.ask(
                "Page.captureScreenshot", captureBeyondViewport=True,
                clip={"x": 0, "y": 0, "width": width, "height": min(size["height"], 12000), "scale": 1},
            )
            with open(os.path.join(pictures, f"{name}-{view}.png"), "wb") as file:
                file.write(base64.b64decode(picture["data"]))
        wrong += structure(browser)
        for event in browser.events:
            method, told = event.get("method"), event.get("params", {})
            if method == "Network.requestWillBeSent" and told["request"]["url"].split("#")[0] != address:
                wrong.append(f"requested {told['request']['url']}")
            if method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Audits.issueAdded"):
                wrong.append(f"{method}: {json.dumps(told)[:300]}")
        browser.close()
    finally:
        shutil.rmtree(profile, ignore_errors=True)
    if wrong:
        sys.exit("\n".join([f"{report}:"] + wrong))
    print(f"{report}: as it should be")


def structure(browser):
    """What a keyboard and a screen reader need, and that no text became an element."""
    checks = {
        "hostile text has become an element": "document.querySelectorAll('script,img,iframe,link,object,form').length",
        "hostile text has run": "Number(!document.title.startsWith('Health trends'))",
        "a chart has no name": "document.querySelectorAll('svg:not([role=img][aria-label])').length",
        "a chart has no table": "[...document.querySelectorAll('figure:has(svg)')].filter(f => !f.querySelector('table')).length",
        "a figure has no caption": "document.querySelectorAll('figure:not(:has(figcaption))').length",
        "a header cell has no scope": "document.querySelectorAll('th:not([scope])').length",
        "a link leads nowhere": "[...document.querySelectorAll('a')].filter(a => !document.querySelector(a.getAttribute('href'))).length",
        "an id stands twice": "(ids => ids.length - new Set(ids).size)([...document.querySelectorAll('[id]')].map(e => e.id))",
        "the first stop of the keyboard is not the skip link": "Number(document.querySelector('a,summary,[tabindex]').className !== 'skip')",
    }
    found = {what: browser.value(expression) for what, expression in checks.items()}
    return [f"{what}: {count}" for what, count in found.items() if count != 0]


def hostile(source, target):
    """Copies the samples' plain documents, with hostile text in what a report shows."""
    os.makedirs(os.path.join(target, "2026/11/21/07"))
    event = lambda number, category, service, start: {
        "version": "0", "id": f"{number:08x}-0000-4000-8000-000000000000", "detail-type": "AWS Health Event",
        "source": "aws.health", "account": "111122223333", "time": "2026-11-21T07:00:00Z", "region": "us-east-1",
        "resources": [], "detail": {
            "eventArn": f"arn:aws:health:us-east-1::event/{number}", "service": service,
            "eventTypeCode": HOSTILE, "eventTypeCategory": category, "eventScopeCode": "ACCOUNT_SPECIFIC",
            "communicationId": f"c{number}-1", "startTime": start, "statusCode": HOSTILE,
            "eventRegion": HOSTILE, "eventDescription": [], "affectedAccount": HOSTILE,
        },
    }
    finding = {
        "SchemaVersion": "2018-10-08", "Id": "hostile", "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/x",
        "GeneratorId": "AWS_RISK_CREDENTIALS_EXPOSED" + HOSTILE, "AwsAccountId": HOSTILE, "Types": [HOSTILE],
        "CreatedAt": "2026-11-21T06:00:00Z", "UpdatedAt": "2026-11-21T06:30:00Z", "Title": HOSTILE, "Description": HOSTILE,
        "Severity": {"Label": HOSTILE}, "Resources": [{"Type": "Other", "Id": HOSTILE}], "ProductName": "RISK",
    }
    documents = [
        event(1, "scheduledChange", "EC2", "Mon, 1 Mar 2027 00:00:00 GMT"),
        event(2, HOSTILE, "ABUSE", "Sat, 21 Nov 2026 05:00:00 GMT"),
        event(3, "issue", HOSTILE, "Sat, 21 Nov 2026 05:00:00 GMT"),
        finding,
    ]
    with open(os.path.join(target, "2026/11/21/07/hostile-2026-11-21.json"), "w") as file:
        file.write("".join(json.dumps(document) for document in documents) + "{not json " + HOSTILE)
    for folder, _, names in os.walk(source):
        for name in names:
            if name.endswith(".json"):
                shutil.copy(os.path.join(folder, name), os.path.join(target, "2026/11/21/07", name))


def main():
    command, *arguments = sys.argv[1:]
    {"hostile": hostile, "look": look}[command](*arguments)


main()
