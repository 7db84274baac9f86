package telemetry_test

import (
	"log"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

// What a program does beforehand, so that Prometheus can scrape it.
func Example() {
	exporter, err := prometheus.New() // of go.opentelemetry.io/otel/exporters/prometheus
	if err != nil {
		log.Fatal(err)
	}
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(exporter)))
	// promhttp is of github.com/prometheus/client_golang. Keep it private.
	http.Handle("GET /metrics", promhttp.Handler())
}
