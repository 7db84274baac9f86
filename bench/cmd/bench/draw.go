package main

import (
	"fmt"
	"image/color"

	"github.com/reporadar/pgsession/bench/internal/result"
	"github.com/reporadar/pgsession/bench/internal/suite"
)

// curves are the styles of the contestants: blue and green for Postgres, warm
// colors for Redis, dashed for what is not a session store. Readers who can't
// see red and green can tell the colors apart (Okabe and Ito).
var curves = []result.Curve{
	{
		Row: "pgsession", Label: "pgsession (Postgres)",
		Color: color.RGBA{R: 0x00, G: 0x72, B: 0xb2, A: 0xff}, Width: 3,
	},
	{
		Row: "scs_pgx", Label: "scs pgxstore",
		Color: color.RGBA{R: 0x00, G: 0x9e, B: 0x73, A: 0xff}, Width: 1.5,
	},
	{
		Row: "pgx", Label: "plain pgx, one query per call",
		Color: color.RGBA{R: 0x56, G: 0xb4, B: 0xe9, A: 0xff}, Width: 1.5, Dash: true,
	},
	{
		Row: "pgx_deadline", Label: "the same with a deadline",
		Color: color.RGBA{R: 0x99, G: 0x99, B: 0x99, A: 0xff}, Width: 1.5, Dash: true,
	},
	{
		Row: "pgbench", Label: "pgbench, one query per call",
		Color: color.RGBA{R: 0x33, G: 0x33, B: 0x33, A: 0xff}, Width: 1.5, Dash: true,
	},
	{
		Row: "scs_redis", Label: "scs goredisstore",
		Color: color.RGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}, Width: 1.5,
	},
	{
		Row: "gorilla_redis", Label: "gorilla redistore",
		Color: color.RGBA{R: 0xe6, G: 0x9f, B: 0x00, A: 0xff}, Width: 1.5,
	},
	{
		Row: "goredis", Label: "go-redis GET",
		Color: color.RGBA{R: 0xcc, G: 0x79, B: 0xa7, A: 0xff}, Width: 1.5, Dash: true,
	},
	{
		Row: "goredis_autopipeline", Label: "go-redis GET, AutoPipeline",
		Color: color.RGBA{R: 0x7f, G: 0x3c, B: 0x8d, A: 0xff}, Width: 1.5, Dash: true,
	},
}

// draw plots the loads, if a plot is wanted and they were measured.
func (j *job) draw(report *result.Report) error {
	table, ok := report.Table(suite.LoadsTitle)
	if !ok || j.plot == "" {
		j.plot = ""
		return nil
	}
	if err := result.Plot(table, "Sessions loaded by key", "concurrent callers", "loads per second",
		curves, j.plot); err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	return nil
}
