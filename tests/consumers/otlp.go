// SPDX-License-Identifier: Apache-2.0

// otlp.go FILE: what the OpenTelemetry Collector makes of it: the unmarshaler of its OTLP receiver and of
// its otlpjsonfile receiver. One line of JSON is printed, as otlp.py prints it.
package main

import (
	"encoding/json"
	"log"
	"os"

	"go.opentelemetry.io/collector/pdata/plog"
)

type record struct {
	Resource   map[string]any `json:"resource"`
	Scope      string         `json:"scope"`
	Severity   int            `json:"severity"`
	Time       uint64         `json:"time"`
	Body       string         `json:"body"`
	Attributes map[string]any `json:"attributes"`
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(text)
	if err != nil {
		log.Fatal(err)
	}
	records := []record{}
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, r := range scope.LogRecords().All() {
				records = append(records, record{resource.Resource().Attributes().AsRaw(), scope.Scope().Name(),
					int(r.SeverityNumber()), uint64(r.Timestamp()), r.Body().AsString(), r.Attributes().AsRaw()})
			}
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(records); err != nil {
		log.Fatal(err)
	}
}
