// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
	"github.com/hexiao-dev/hexiao/connector/admin/admintest"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

func TestARedemptionIsFoundByWhateverNameItHasInWhateverState(t *testing.T) {
	c := admintest.Start(t)
	flow := c.Verify("done", admintest.AtZhimai).Result.Data.FlowID
	c.Reverse("back", "done", flow, admintest.AtZhimai) // waits for a person
	c.Fault("zhimai", consume, fault.Refuse, 1)
	c.Verify("refused", admintest.AtZhimai)
	c.Fault("zhimai", consume, fault.ApplyThenReset, 1)
	c.Verify("doubt", admintest.AtZhimai)
	c.InDoubt(2)
	done, err := c.Client.Redemption(t.Context(), "VERIFY", "done")
	if err != nil {
		t.Fatal(err)
	}

	tests := map[string]struct {
		search adminapi.Search
		want   []string // bizId conclusion, with reversals behind it
	}{
		"by bizId":                       {adminapi.Search{BizID: "done"}, []string{"done redeemed > back in-doubt"}},
		"by order":                       {adminapi.Search{OrderNo: "T-done"}, []string{"done redeemed > back in-doubt"}},
		"by payment":                     {adminapi.Search{PaymentNo: "P-doubt"}, []string{"doubt in-doubt"}},
		"by trace":                       {adminapi.Search{TraceID: done.TraceID}, []string{"done redeemed > back in-doubt"}},
		"by flow":                        {adminapi.Search{FlowID: flow}, []string{"done redeemed > back in-doubt"}},
		"one that was refused":           {adminapi.Search{BizID: "refused"}, []string{"refused not-redeemed"}},
		"a reversal alone":               {adminapi.Search{BizID: "back"}, []string{"back in-doubt"}},
		"conditions add up":              {adminapi.Search{BizID: "done", OrderNo: "T-doubt"}, nil},
		"nothing is an empty list":       {adminapi.Search{BizID: "never"}, nil},
		"a text that looks like SQL too": {adminapi.Search{OrderNo: "' OR ''='"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			found, err := c.Client.Trails(t.Context(), tt.search, 0)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, x := range found.Items {
				text := x.Redemption.BizID + " " + x.Conclusion.Word
				for _, r := range x.Reversals {
					text += " > " + r.Redemption.BizID + " " + r.Conclusion.Word
				}
				got = append(got, text)
				if !x.Chain.Intact || x.Chain.Events != int64(len(x.Redemption.Events)) || x.Chain.Problem != "" {
					t.Errorf("the chain of %s: %+v", x.Redemption.BizID, x.Chain)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("found (-want +got):\n%s", d)
			}
		})
	}
	if _, err := c.Client.Trails(t.Context(), adminapi.Search{}, 0); code(err) != "400 invalid bizId" {
		t.Errorf("without a condition: %v", err)
	}
	if _, err := c.Client.Trails(t.Context(), adminapi.Search{BizID: "done"}, 100000); code(err) != "400 invalid limit" {
		t.Errorf("a limit beyond bounds: %v", err)
	}
}

func TestTheTotalsOfAnOrderAreThoseOfItsRedemptions(t *testing.T) {
	c := admintest.Start(t)
	c.Verify("b1", admintest.AtZhimai)
	c.VerifyFor("b2", "b1", admintest.AtZhimai) // the till asks again under a new bizId
	found, err := c.Client.Trails(t.Context(), adminapi.Search{OrderNo: "T-b1"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	twice := adminapi.Sum{Fen: 5100}
	want := adminapi.Totals{Redeemed: twice, Net: twice, Repeated: []adminapi.Repeated{{OrderNo: "T-b1", PaymentNo: "P-b1", BizIDs: []string{"b2", "b1"}}}}
	if d := cmp.Diff(want, found.Totals); d != "" {
		t.Errorf("totals (-want +got):\n%s", d)
	}
	one, err := c.Client.Trails(t.Context(), adminapi.Search{OrderNo: "T-b1"}, 1)
	if err != nil || !one.Truncated || len(one.Items) != 1 || one.Items[0].Redemption.BizID != "b2" {
		t.Errorf("with a limit of one: %+v, %v", one, err)
	}
}

func TestATrailSaysThatAnotherHandChangedIt(t *testing.T) {
	c := admintest.Start(t)
	c.Verify("b1", admintest.AtZhimai)
	c.Tamper("UPDATE line SET total_fen = 1 WHERE biz_id = 'b1'")
	found, err := c.Client.Trails(t.Context(), adminapi.Search{BizID: "b1"}, 0)
	if err != nil || len(found.Items) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	if chain := found.Items[0].Chain; chain.Intact || !strings.Contains(chain.Problem, "b1") {
		t.Errorf("the chain: %+v", chain)
	}
}

func TestNoTrailIsPersonalOrSecret(t *testing.T) {
	c := admintest.Start(t)
	flow := c.Verify("b1", admintest.AtZhimai).Result.Data.FlowID
	c.Reverse("r1", "b1", flow, admintest.AtZhimai)
	found, err := c.Client.Trails(t.Context(), adminapi.Search{BizID: "b1"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"13912345678", "canary-token", "欧阳金丝雀", "demo-open-key", "demo-app-secret"} {
		if strings.Contains(string(raw), word) {
			t.Errorf("%s is in it: %s", word, raw)
		}
	}
	if !slices.ContainsFunc(found.Items[0].Reversals[0].Redemption.Events, func(e adminapi.Event) bool { return e.Kind == "recorded" }) {
		t.Error("the reversal came without its events")
	}
}
