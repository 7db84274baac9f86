package result

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"image/color"
	"os"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Curve is the style of a table's row.
type Curve struct {
	Row   string
	Label string
	Color color.Color
	Width float64 // in points
	Dash  bool
}

const (
	plotWidth  = 21 * vg.Centimeter
	plotHeight = 10.5 * vg.Centimeter
	keyWidth   = 5.8 * vg.Centimeter // the key stands beside the curves, which may be anywhere
	margin     = 0.3 * vg.Centimeter
)

// Plot draws a table with numbers as columns as an SVG. The columns are a
// logarithmic axis, and the key has the rows in the order of their last values.
func Plot(t Table, title, x, y string, curves []Curve, path string) error {
	at, err := t.positions()
	if err != nil {
		return err
	}
	p := newPlot(title, x, y, at, t.Columns)
	key := newKey()
	last := func(c Curve) float64 { return t.Median(c.Row, t.Columns[len(t.Columns)-1]) }
	curves = slices.SortedStableFunc(slices.Values(curves),
		func(a, b Curve) int { return cmp.Compare(last(b), last(a)) })
	for _, c := range curves {
		points := t.points(c.Row, at)
		if len(points) == 0 {
			return fmt.Errorf("no row %q to plot", c.Row)
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return err
		}
		line.Color, line.Width = c.Color, vg.Points(c.Width)
		dots.Color, dots.Shape, dots.Radius = c.Color, draw.CircleGlyph{}, vg.Points(1.2+c.Width/2)
		if c.Dash {
			line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
		}
		p.Add(line, dots)
		key.Add(c.Label, line, dots)
	}
	p.Y.Min, p.Y.Max = 0, p.Y.Max*1.03 // adding curves moves them

	canvas := vgsvg.New(plotWidth, plotHeight)
	page := draw.New(canvas)
	page.FillPolygon(color.White,
		[]vg.Point{{}, {X: plotWidth}, {X: plotWidth, Y: plotHeight}, {Y: plotHeight}})
	p.Draw(draw.Crop(page, margin, -keyWidth-margin, margin, -margin))
	key.Draw(draw.Crop(page, plotWidth-keyWidth, -margin, margin, -1.4*vg.Centimeter))

	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return err
	}
	// Few browsers have the one font that was requested.
	fonts := bytes.ReplaceAll(svg.Bytes(), []byte("font-family:Liberation Sans"),
		[]byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif"))
	return os.WriteFile(path, fonts, 0o644)
}

func newPlot(title, x, y string, at []float64, labels []string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.Padding, p.X.Label.Padding, p.Y.Label.Padding = vg.Points(10), vg.Points(4),
		vg.Points(4)
	for style, size := range map[*text.Style]float64{
		&p.Title.TextStyle: 13, &p.X.Label.TextStyle: 10, &p.Y.Label.TextStyle: 10,
		&p.X.Tick.Label: 9, &p.Y.Tick.Label: 9,
	} {
		sans(style, size)
	}
	p.X.Scale, p.X.Min, p.X.Max = plot.LogScale{}, at[0], at[len(at)-1]
	ticks := make(plot.ConstantTicks, len(at))
	for i, v := range at {
		ticks[i] = plot.Tick{Value: v, Label: labels[i]}
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks, thousands{}
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	grid.Horizontal.Color = color.Gray{Y: 225}
	p.Add(grid)
	return p
}

func newKey() plot.Legend {
	key := plot.NewLegend()
	sans(&key.TextStyle, 9)
	key.Top, key.Left = true, true
	key.ThumbnailWidth, key.Padding = vg.Points(22), vg.Points(4)
	return key
}

func sans(style *text.Style, size float64) {
	style.Font.Variant, style.Font.Size = "Sans", vg.Points(size)
}

// positions returns the columns as numbers.
func (t *Table) positions() (at []float64, err error) {
	for _, column := range t.Columns {
		v, err := strconv.ParseFloat(column, 64)
		if err != nil || v <= 0 {
			return nil, fmt.Errorf("column %q is not a number that a logarithmic axis has", column)
		}
		at = append(at, v)
	}
	if len(at) == 0 {
		return nil, errors.New("there is nothing to plot")
	}
	return at, nil
}

func (t *Table) points(row string, at []float64) (points plotter.XYs) {
	for _, r := range t.Rows {
		if r.Name != row {
			continue
		}
		for i, c := range r.Cells {
			if len(c.Samples) > 0 {
				points = append(points, plotter.XY{X: at[i], Y: c.Samples.Median()})
			}
		}
	}
	return points
}

// thousands labels an axis as 0, 50 k, 100 k.
type thousands struct{}

func (thousands) Ticks(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i := range ticks {
		if ticks[i].Label != "" && ticks[i].Value != 0 {
			ticks[i].Label = strconv.FormatFloat(ticks[i].Value/1000, 'f', -1, 64) + " k"
		}
	}
	return ticks
}
