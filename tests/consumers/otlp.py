#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""otlp.py FILE: what the protobuf definitions of OpenTelemetry make of it, after a way through its
binary form; one line of JSON. Unknown members are an error."""
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest


def values(attributes):
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        parsed = json_format.Parse(file.read(), ExportLogsServiceRequest())
    request = ExportLogsServiceRequest.FromString(parsed.SerializeToString())
    print(json.dumps([{"resource": values(r.resource.attributes), "scope": s.scope.name, "severity": l.severity_number,
                       "time": l.time_unix_nano, "body": l.body.string_value, "attributes": values(l.attributes)}
                      for r in request.resource_logs for s in r.scope_logs for l in s.log_records]))


main()
