// Command bench measures zenith side by side with a peer in the same run, prints a table
// and writes bench/results.json. Absolute times say nothing about another machine; the
// ratio does. It is run by `make bench`, never by a test.
//
// Each row is the median of runs of zenith and of the peer in turn, so what disturbs the
// one disturbs the other. For times, a ratio below 1 means that zenith is faster; for rates,
// a ratio above 1.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// row is one line of the table.
type row struct {
	Name     string  `json:"name"`
	Ours     float64 `json:"ours"`
	Peer     float64 `json:"peer"`
	PeerName string  `json:"peer_name"`
	Ratio    float64 `json:"ratio"`
	Unit     string  `json:"unit"`
	Spread   string  `json:"spread,omitempty"` // least and most of our runs / of the peer's
	Note     string  `json:"note,omitempty"`
}

// options are the flags.
type options struct {
	binary  string
	distrib string
	out     string
	corpora string
	runs    int
	seconds int
	scales  []int
	memory  *memoryPeak
}

// benches are all benchmarks, in the order in which they run.
var benches = []struct {
	name string
	run  func(ctx context.Context, o options) ([]row, error)
}{
	{"branch", benchBranch},
	{"pgbench", benchPgbench},
	{"scan", benchScan},
	{"disk", benchDisk},
	{"ingest", benchIngest},
	{"backup", benchBackup},
	{"redo", benchRedo},
	{"past", benchPast},
	{"many", benchMany},
	{"lag", benchLag},
	{"connect", benchConnect},
}

// names lists the benchmarks in the order in which they run.
func names() []string {
	all := make([]string, len(benches))
	for i, b := range benches {
		all[i] = b.name
	}
	return all
}

func main() {
	var o options
	flag.StringVar(&o.binary, "zenith", "bin/zenith", "the binary to measure")
	flag.StringVar(&o.distrib, "pg-distrib", "/usr/lib/postgresql/15", "the PostgreSQL installation")
	flag.StringVar(&o.out, "out", "bench/results.json", "where to write the results")
	flag.StringVar(&o.corpora, "corpora", "", "keep recorded WAL in that directory, and take what is there")
	flag.IntVar(&o.runs, "runs", 3, "interleaved runs of each row")
	flag.IntVar(&o.seconds, "seconds", 10, "length of one pgbench run")
	scales := flag.String("scales", "6,660", "pgbench scales of the databases that are branched: 15 MB each, of disk three times that")
	only := flag.String("only", "", "run only the benchmark of that name: "+strings.Join(names(), ", "))
	flag.Parse()
	if *only != "" && !slices.Contains(names(), *only) {
		fmt.Fprintf(os.Stderr, "bench: -only: no benchmark %q; there are %s\n", *only, strings.Join(names(), ", "))
		os.Exit(2)
	}
	for s := range strings.SplitSeq(*scales, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench: -scales:", err)
			os.Exit(2)
		}
		o.scales = append(o.scales, n)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, only string) error {
	var err error
	o.memory = new(memoryPeak)
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	rows := []row{}
	for _, b := range benches {
		if only != "" && b.name != only {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s...\n", b.name)
		o.memory.begin(b.name)
		rs, err := b.run(ctx, o)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		rows = append(rows, rs...)
	}
	rows = append(rows, o.memory.row())
	print(rows)
	text, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.out, append(text, '\n'), 0o644)
}

// print writes the table of rows, and below it their notes.
func print(rows []row) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "what\tours\tpeer\tunit\tratio\tspread\tpeer is\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%.4g\t%.4g\t%s\t%.2f\t%s\t%s\t\n", r.Name, r.Ours, r.Peer, r.Unit, r.Ratio, r.Spread, r.PeerName)
	}
	w.Flush()
	for _, r := range rows {
		if r.Note != "" {
			fmt.Printf("%s: %s\n", r.Name, r.Note)
		}
	}
}

// compare runs ours and the peer in turn, o.runs times, and makes a row of the medians. The one that goes
// first in a run goes last in the next, so that neither always runs on what the other has left behind.
func compare(o options, name, peerName, unit string, ours, peer func() (float64, error)) (row, error) {
	sides := []*comparand{{name: name, run: ours}, {name: name + ", " + peerName, run: peer}}
	us, them := sides[0], sides[1]
	for range o.runs {
		for _, s := range sides {
			v, err := s.run()
			if err != nil {
				return row{}, fmt.Errorf("%s: %w", s.name, err)
			}
			s.values = append(s.values, v)
		}
		slices.Reverse(sides)
	}
	return newRow(name, peerName, unit, us.values, them.values), nil
}

// comparand is one side of a comparison.
type comparand struct {
	name   string
	run    func() (float64, error)
	values []float64
}

// newRow makes a row of the medians of both sides' values.
func newRow(name, peerName, unit string, us, them []float64) row {
	r := row{Name: name, Ours: median(us), Peer: median(them), PeerName: peerName, Unit: unit}
	r.Ratio = r.Ours / r.Peer
	r.Spread = spread(us) + " / " + spread(them)
	return r
}

func spread(v []float64) string { return fmt.Sprintf("%.3g-%.3g", slices.Min(v), slices.Max(v)) }

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
