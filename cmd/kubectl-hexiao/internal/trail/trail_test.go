// SPDX-License-Identifier: Apache-2.0

package trail_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/trail"
	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
)

var t0 = time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)

func event(leg int, kind, to, detail string) adminapi.Event {
	e := adminapi.Event{At: t0, Actor: "engine", Kind: kind, To: to}
	if leg >= 0 {
		e.Leg = &leg
	}
	if detail != "" {
		e.Detail = json.RawMessage(detail)
	}
	return e
}

func TestCallsAreCountedByWhatLeft(t *testing.T) {
	for name, tt := range map[string]struct {
		operation string
		events    []adminapi.Event
		want      int
	}{
		"a call and its answer":                     {"consume", []adminapi.Event{event(0, "state", "executed", "")}, 1},
		"nothing left":                              {"consume", []adminapi.Event{event(0, "state", "not_sent", "")}, 0},
		"nothing left, then sent":                   {"consume", []adminapi.Event{event(0, "state", "not_sent", ""), event(0, "state", "sent", ""), event(0, "state", "executed", "")}, 1},
		"repeated under its key":                    {"consume", []adminapi.Event{event(0, "state", "unknown", ""), event(0, "evidence", "", `{"what":"repeated, not known","kind":"unknown"}`), event(0, "evidence", "", `{"what":"answered under the same key","kind":"executed"}`)}, 3},
		"a repeat that could not leave":             {"consume", []adminapi.Event{event(0, "evidence", "", `{"what":"repeated, not known","kind":"not-sent"}`)}, 1},
		"a refused repeat, found by look-up":        {"consume", []adminapi.Event{event(0, "evidence", "", `{"what":"found by look-up, though a repeat was refused","kind":"executed"}`)}, 2},
		"a look-up is no call that moves money":     {"consume", []adminapi.Event{event(0, "evidence", "", `{"what":"look-up: missing once","kind":"unknown"}`)}, 1},
		"another leg's":                             {"consume", []adminapi.Event{event(1, "state", "not_sent", ""), event(-1, "answer", "", `{"bytes":3}`)}, 1},
		"a reversal that a person makes":            {"manual-reversal", nil, 0},
		"an event whose detail is not what we know": {"consume", []adminapi.Event{event(0, "evidence", "", `[1]`)}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := adminapi.Redemption{Legs: []adminapi.Leg{{No: 0, Operation: tt.operation}}, Events: tt.events}
			if got := trail.Calls(r, 0); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}

func verify(bizID, word string, done, refused, open int64) adminapi.Trail {
	return adminapi.Trail{
		Redemption: adminapi.Redemption{Action: "VERIFY", BizID: bizID, OrderNo: "T1", PaymentNo: "P1", CreatedAt: t0, Legs: []adminapi.Leg{{No: 0, Provider: "zhimai", Key: "HX1", Strategy: "ReplaySameBizID", AmountFen: 100}}},
		Conclusion: adminapi.Conclusion{Word: word, Done: adminapi.Sum{Fen: done}, Refused: adminapi.Sum{Fen: refused}, Open: adminapi.Sum{Fen: open}},
		Chain:      adminapi.Chain{Intact: true, Events: 3},
	}
}

func TestTheVerdictSaysNoMoreThanIsKnown(t *testing.T) {
	fen := func(n int64) adminapi.Sum { return adminapi.Sum{Fen: n} }
	reversal := verify("r1", adminapi.WordInDoubt, 0, 0, 100)
	reversal.Redemption.Action = "REVERSE_VERIFY"
	openBack := verify("b1", adminapi.WordRedeemed, 100, 0, 0)
	openBack.Reversals = []adminapi.Trail{reversal}
	repeated := verify("b1", adminapi.WordRedeemed, 100, 0, 0)
	repeated.Redemption.Events = []adminapi.Event{event(0, "evidence", "", `{"what":"answered under the same key","kind":"executed"}`)}
	broken := verify("b1", adminapi.WordRedeemed, 100, 0, 0)
	broken.Chain = adminapi.Chain{Problem: "event 2: it was changed"}
	for name, tt := range map[string]struct {
		found adminapi.Trails
		want  [3]string
		says  string
	}{
		"in part":                                {adminapi.Trails{Items: []adminapi.Trail{verify("b1", adminapi.WordPartly, 100, 50, 0)}, Totals: adminapi.Totals{Redeemed: fen(100), Net: fen(100)}}, [3]string{"in-part", "no", "intact"}, "some of what was asked for was refused"},
		"undone by the connector":                {adminapi.Trails{Items: []adminapi.Trail{verify("b1", adminapi.WordUndone, 0, 100, 0)}}, [3]string{"no", "no", "intact"}, "given back, because the rest was refused"},
		"never sent":                             {adminapi.Trails{Items: []adminapi.Trail{verify("b1", adminapi.WordNotSent, 0, 0, 100)}}, [3]string{"no", "no", "intact"}, "a repeat of the same bizId sends it"},
		"a reversal that is in doubt":            {adminapi.Trails{Items: []adminapi.Trail{openBack}, Totals: adminapi.Totals{Redeemed: fen(100), Net: fen(100), InDoubtBack: fen(100)}}, [3]string{"yes", "no", "intact"}, "1.00 yuan may have been given back besides"},
		"a reversal alone":                       {adminapi.Trails{Items: []adminapi.Trail{reversal}}, [3]string{"not-known", "no", "intact"}, "only a reversal is known here"},
		"a call that was repeated under its key": {adminapi.Trails{Items: []adminapi.Trail{repeated}, Totals: adminapi.Totals{Redeemed: fen(100), Net: fen(100)}}, [3]string{"yes", "no", "intact"}, "made 2 times under its one key HX1, as the brand's inDoubt (ReplaySameBizID) has it"},
		"retired":                                {adminapi.Trails{Retired: []adminapi.Retired{{Action: "VERIFY", BizID: "b1", Outcome: "executed"}}}, [3]string{"retired", "retired", "retired"}, "verify b1 had ended as executed"},
		"a chain that is broken":                 {adminapi.Trails{Items: []adminapi.Trail{broken}, Totals: adminapi.Totals{Redeemed: fen(100), Net: fen(100)}}, [3]string{"yes", "no", "broken"}, "event 2: it was changed"},
		"one paid, one open, of one payment": {adminapi.Trails{Items: []adminapi.Trail{verify("b2", adminapi.WordInDoubt, 0, 0, 100), verify("b1", adminapi.WordRedeemed, 100, 0, 0)},
			Totals: adminapi.Totals{Redeemed: fen(100), Net: fen(100), InDoubt: fen(100), Repeated: []adminapi.Repeated{{OrderNo: "T1", PaymentNo: "P1", BizIDs: []string{"b2", "b1"}}}}},
			[3]string{"not-known", "perhaps", "intact"}, "so far 1.00 yuan is known to be charged"},
	} {
		t.Run(name, func(t *testing.T) {
			v := trail.Judge(trail.Case{Found: tt.found})
			if d := cmp.Diff(tt.want, [3]string{v.Charged.Answer, v.Twice.Answer, v.Proof.Answer}); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if all := v.Charged.Why + v.Twice.Why + v.Proof.Why; !strings.Contains(all, tt.says) {
				t.Errorf("it does not say %q: %s", tt.says, all)
			}
		})
	}
}

func TestTheTimeLineIsInOrderAndNobodyMovesTheCursor(t *testing.T) {
	x := verify("b\x1b[2J1", adminapi.WordRedeemed, 100, 0, 0)
	late := event(0, "state", "executed", `{"reason":"executed","outcome":{"Kind":"executed","HTTPStatus":200,"FlowID":"78627"}}`)
	late.At, late.Seq = t0.Add(1204*time.Millisecond), 2
	first := event(-1, "recorded", "", `{"legs":[{"no":0,"provider":"zhimai","operation":"consume","key":"HX1"}]}`)
	first.Seq = 1
	x.Redemption.Events = []adminapi.Event{first, late}
	spans := []trail.Span{
		{ID: "2", Parent: "1", Name: "call\n", Service: "hexiao", Start: t0.Add(2 * time.Millisecond), End: t0.Add(40 * time.Millisecond), Status: "200"},
		{ID: "1", Name: "root", Service: "hexiao", Start: t0.Add(time.Millisecond), End: t0.Add(50 * time.Millisecond), Error: true},
		{ID: "3", Parent: "4", Name: "a loop", Start: t0.Add(3 * time.Millisecond), End: t0.Add(3 * time.Millisecond)},
		{ID: "4", Parent: "3", Name: "of parents", Start: t0.Add(3 * time.Millisecond), End: t0.Add(3 * time.Millisecond)},
	}
	story := trail.Tell(trail.Case{Found: adminapi.Trails{BrandID: "11342", Items: []adminapi.Trail{x}}}, nil, spans)
	var b bytes.Buffer
	if err := trail.Text(&b, []trail.Story{story}, time.UTC, false); err != nil {
		t.Fatal(err)
	}
	_, lines, _ := strings.Cut(b.String(), "TIME LINE")
	rest := lines
	for _, part := range []string{"asks to redeem", "1 vendor call planned", "root, error", "· call·, HTTP 200", "1.204 s", "zhimai did it; vendor's flow 78627, HTTP 200"} {
		_, after, found := strings.Cut(rest, part)
		if !found {
			t.Errorf("%q is not there, or not in its place:\n%s", part, lines)
		}
		rest = after
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("an escape sequence reaches the terminal")
	}
}

func TestWhatToDoNamesTheBrandAndWhereItIs(t *testing.T) {
	doubt := func(action, bizID string, legs int) adminapi.Trail {
		x := verify(bizID, adminapi.WordInDoubt, 0, 0, 100)
		x.Redemption.Action = action
		x.Redemption.Legs = nil
		for i := range legs {
			x.Redemption.Legs = append(x.Redemption.Legs, adminapi.Leg{No: i, Provider: "zhimai", Key: "HX1", State: "unknown", WaitsFor: adminapi.WaitsForPerson})
		}
		return x
	}
	here := trail.Place{Brand: "xiaowang", Flags: []string{"-n brands"}}
	for name, tt := range map[string]struct {
		of    adminapi.Trail
		place trail.Place
		want  []string
	}{
		"a redemption":               {doubt("VERIFY", "b1", 1), here, []string{"kubectl hexiao in-doubt resolve xiaowang b1 -n brands"}},
		"a reversal":                 {doubt("REVERSE_VERIFY", "r1", 1), here, []string{"kubectl hexiao in-doubt resolve xiaowang r1 --action reverse -n brands"}},
		"two legs":                   {doubt("VERIFY", "b1", 2), here, []string{"kubectl hexiao in-doubt resolve xiaowang b1 --leg 0 -n brands", "kubectl hexiao in-doubt resolve xiaowang b1 --leg 1 -n brands"}},
		"a connector on the machine": {doubt("VERIFY", "b1", 1), trail.Place{Flags: []string{"--admin-url http://127.0.0.1:9090"}}, []string{"kubectl hexiao in-doubt resolve b1 --admin-url http://127.0.0.1:9090"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, do := range trail.Judge(trail.Case{Found: adminapi.Trails{Items: []adminapi.Trail{tt.of}}, Place: tt.place}).Do {
				if _, command, is := strings.Cut(do, ", then "); is {
					got = append(got, command)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
