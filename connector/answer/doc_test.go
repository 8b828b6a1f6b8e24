// SPDX-License-Identifier: Apache-2.0

package answer_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/alsc"
	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/zhimai"
)

var update = flag.Bool("update", false, "write the tables of the documentation anew")

const page = "../../docs/design/vendor-outcomes.md"

// The page's tables are the code's; what stands around them is written by hand.
func TestTheDocumentationIsCurrent(t *testing.T) {
	gateway, flow, assets := alsc.Tables()
	tables := map[string][]answer.Row{
		"transport": answer.TransportRows(), "zhimai": zhimai.Rows(), "alsc-gateway": gateway, "alsc-flow": flow, "alsc-assets": assets,
	}
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for name, rows := range tables {
		text = replace(t, text, name, render(rows))
	}
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(text, string(raw)); diff != "" {
		t.Errorf("%s is not current, run this test with -update (-want +got):\n%s", page, diff)
	}
}

func replace(t *testing.T, text, name, table string) string {
	t.Helper()
	begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
	before, rest, ok1 := strings.Cut(text, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for table %s", page, name)
	}
	return before + begin + table + end + after
}

func render(rows []answer.Row) string {
	var b strings.Builder
	b.WriteString("| what came back | kind | class | the till hears | then |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | `%s` | %s | %s |\n", r.Answer, r.Kind, r.Class, strings.ReplaceAll(r.Till, "%s", "（…）"), r.Next)
	}
	return b.String()
}

// A row that lets a call be made again or calls it failed must say to the till that
// nothing was taken; one that does not know must not.
func TestEachRowTellsTheTillWhatItsKindMeans(t *testing.T) {
	gateway, flow, assets := alsc.Tables()
	rows := append(append(append(append(answer.TransportRows(), zhimai.Rows()...), gateway...), flow...), assets...)
	next := map[string]string{
		"executed": answer.NextNothing, "refused": answer.NextNothing, "not-sent": answer.NextRepeat, "unknown": answer.NextResolve,
	}
	for _, r := range rows {
		nothingTaken := strings.Contains(r.Till, "未扣款")
		if want := r.Kind == "refused" || r.Kind == "not-sent"; nothingTaken != want {
			t.Errorf("%s (%s): the till hears %s", r.Name, r.Kind, r.Till)
		}
		if r.Next != next[string(r.Kind)] {
			t.Errorf("%s (%s): then %s", r.Name, r.Kind, r.Next)
		}
	}
}
