// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// figure is something that was measured.
type figure struct {
	Phase string  `json:"phase"`
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
	// Limit is the most that the value may be; none when nil.
	Limit *float64 `json:"limit,omitempty"`
	// Evidence is what the limit was taken from.
	Evidence string `json:"evidence,omitempty"`
}

func (f figure) isOver() bool { return f.Limit != nil && f.Value > *f.Limit }

// report is a whole run.
type report struct {
	Began   time.Time `json:"began"`
	Machine machine   `json:"machine"`
	Version string    `json:"version"`
	Brands  int       `json:"brands"`
	Rest    string    `json:"rest"`
	Secrets int       `json:"secrets"`
	Figures []figure  `json:"figures"`
	// Notes are what does not fit into a figure, by phase.
	Notes []string `json:"notes,omitempty"`
}

// machine is what ran it.
type machine struct {
	CPU  string `json:"cpu"`
	CPUs int    `json:"cpus"`
	// LoadBefore and LoadAfter are the average of one minute. The bench itself is in the second.
	LoadBefore string `json:"loadBefore"`
	LoadAfter  string `json:"loadAfter"`
	// StealPercent is how much of the CPU time the host took away.
	StealPercent float64 `json:"stealPercent"`
}

// over are the figures above their limits.
func (r *report) over() []figure {
	var over []figure
	for _, f := range r.Figures {
		if f.isOver() {
			over = append(over, f)
		}
	}
	return over
}

// withoutFigure names the limits of a phase that has run which were asked of nothing.
func (r *report) withoutFigure(phase string, limits map[string]limit) []string {
	found := map[string]bool{}
	for _, f := range r.Figures {
		found[f.Phase+": "+f.Name] = true
	}
	var idle []string
	for name := range limits {
		if strings.HasPrefix(name, phase+": ") && !found[name] {
			idle = append(idle, name)
		}
	}
	slices.Sort(idle)
	return idle
}

// table prints the figures for a person.
func (r *report) table(out io.Writer) {
	fmt.Fprintf(out, "%s, %d CPUs, load before %s and after %s, %.1f %% stolen; %s\n", r.Machine.CPU, r.Machine.CPUs, r.Machine.LoadBefore, r.Machine.LoadAfter, r.Machine.StealPercent, r.Version)
	fmt.Fprintf(out, "%d brands, %s at rest, %d Secrets; %s UTC\n\n", r.Brands, r.Rest, r.Secrets, r.Began.UTC().Format("2006-01-02 15:04"))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "phase\tfigure\tvalue\tat most\t")
	phase := ""
	for _, f := range r.Figures {
		limit, verdict := "", ""
		if f.Limit != nil {
			limit = number(*f.Limit)
		}
		if f.isOver() {
			verdict = "TOO MUCH"
		}
		shown := f.Phase
		if shown == phase {
			shown = ""
		}
		phase = f.Phase
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", shown, f.Name, strings.TrimSpace(number(f.Value)+" "+f.Unit), limit, verdict)
	}
	_ = w.Flush() // to where everything else goes
	for _, note := range r.Notes {
		fmt.Fprintf(out, "\n%s\n", note)
	}
	fmt.Fprintln(out)
	for _, f := range r.over() {
		fmt.Fprintf(out, "%s: %s is %s, at most %s is allowed (%s)\n", f.Phase, f.Name, strings.TrimSpace(number(f.Value)+" "+f.Unit), number(*f.Limit), f.Evidence)
	}
	fmt.Fprintf(out, "scale: figures %d  above their limits: %d\n", len(r.Figures), len(r.over()))
}

// number is short: three digits are more than a measurement is good for.
func number(v float64) string {
	switch {
	case v == float64(int64(v)):
		return strconv.FormatInt(int64(v), 10)
	case v >= 100 || v <= -100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10 || v <= -10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 0.1 || v <= -0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
}

func (r *report) save(path string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}

// cpuTimes are the sums of the first line of /proc/stat, in ticks.
type cpuTimes struct{ all, stolen int64 }

func parseCPUTimes(stat string) (cpuTimes, error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	const stolen = 8 // user, nice, system, idle, iowait, irq, softirq, steal; what follows is in user already
	if len(fields) <= stolen || fields[0] != "cpu" {
		return cpuTimes{}, fmt.Errorf("unknown form of /proc/stat: %q", line)
	}
	var t cpuTimes
	for i := 1; i <= stolen; i++ {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return cpuTimes{}, fmt.Errorf("unknown form of /proc/stat: %w", err)
		}
		t.all += n
		if i == stolen {
			t.stolen = n
		}
	}
	return t, nil
}

func (t cpuTimes) stealSince(before cpuTimes) float64 {
	if t.all == before.all {
		return 0
	}
	return 100 * float64(t.stolen-before.stolen) / float64(t.all-before.all)
}

func readCPUTimes() (cpuTimes, error) {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpuTimes{}, fmt.Errorf("scale reads /proc, so run it on Linux: %w", err)
	}
	return parseCPUTimes(string(raw))
}

// loadAverage is of one minute.
func loadAverage() string {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(raw), " ")
	return first
}

// cpuName is the model of the first CPU.
func cpuName() string {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown CPU"
	}
	for line := range strings.Lines(string(raw)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}
