// SPDX-License-Identifier: Apache-2.0

package books

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func clock() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func member(real, gift, pre int64) Member {
	return Member{
		Vendor: ALSC, ID: "m", CardID: "card", Balance: Money{Real: real, Gift: gift, Pre: pre}, Points: 100,
		Coupons: []Coupon{{ID: "390962138708451328", ScanCode: "S1"}, {ID: "390962138708451329", Status: CouponFrozen}},
	}
}

func booksWith(t testing.TB, split Split, members ...Member) *Books {
	t.Helper()
	b := New(split, clock)
	for _, m := range members {
		if err := b.Put(m); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestSpendTakesPocketsInOrder(t *testing.T) {
	tests := map[string]struct {
		split  Split
		amount int64
		want   Money
	}{
		"gift first, gift is enough":       {GiftFirst, 250, Money{Gift: 250}},
		"gift first, then prepaid, real":   {GiftFirst, 700, Money{Gift: 300, Pre: 200, Real: 200}},
		"real first, real is enough":       {RealFirst, 250, Money{Real: 250}},
		"real first, then prepaid, gift":   {RealFirst, 700, Money{Real: 500, Pre: 200}},
		"everything":                       {RealFirst, 1000, Money{Real: 500, Pre: 200, Gift: 300}},
		"a fen more than the first pocket": {GiftFirst, 301, Money{Gift: 300, Pre: 1}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b := booksWith(t, tc.split, member(500, 300, 200))
			e, err := b.Spend(Spend{Vendor: ALSC, Key: "k", Member: "m", AmountFen: tc.amount})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, e.Split); diff != "" {
				t.Error(diff)
			}
			r, err := b.Reverse(Reversal{Vendor: ALSC, Original: e.Seq, Key: "r", Rest: true})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(e.Split, r.Split); diff != "" {
				t.Errorf("a whole reversal must give back what was taken: %s", diff)
			}
		})
	}
}

func TestRefusalsBookNothing(t *testing.T) {
	spend := func(change func(*Spend)) func(*Books) error {
		return func(b *Books) error {
			s := Spend{Vendor: ALSC, Key: "new", UniqueKey: true, Member: "m", AmountFen: 100}
			change(&s)
			_, err := b.Spend(s)
			return err
		}
	}
	reverse := func(change func(*Reversal)) func(*Books) error {
		return func(b *Books) error {
			r := Reversal{Vendor: ALSC, Key: "new", UniqueKey: true, Original: 1, AmountFen: 1}
			change(&r)
			_, err := b.Reverse(r)
			return err
		}
	}
	tests := map[string]struct {
		do   func(*Books) error
		want Reason
	}{
		"unknown member":            {spend(func(s *Spend) { s.Member = "x" }), NoMember},
		"member of another vendor":  {spend(func(s *Spend) { s.Vendor = Zhimai }), NoMember},
		"disabled member":           {spend(func(s *Spend) { s.Member = "off" }), MemberDisabled},
		"more than there is":        {spend(func(s *Spend) { s.AmountFen = 901 }), InsufficientValue},
		"negative amount":           {spend(func(s *Spend) { s.AmountFen = -1 }), NothingToDo},
		"nothing":                   {spend(func(s *Spend) { s.AmountFen = 0 }), NothingToDo},
		"too many points":           {spend(func(s *Spend) { s.Points = 101 }), InsufficientPoint},
		"foreign coupon":            {spend(func(s *Spend) { s.Coupons = []string{"1"} }), NoCoupon},
		"frozen coupon":             {spend(func(s *Spend) { s.Coupons = []string{"390962138708451329"} }), CouponNotUsable},
		"one coupon twice":          {spend(func(s *Spend) { s.Coupons = []string{"390962138708451328", "390962138708451328"} }), CouponNotUsable},
		"a key used before":         {spend(func(s *Spend) { s.Key = "old" }), DuplicateKey},
		"reversal of nothing":       {reverse(func(r *Reversal) { r.Original = 7 }), NoOriginal},
		"reversal at another":       {reverse(func(r *Reversal) { r.Vendor = Zhimai }), NoOriginal},
		"reversal of too much":      {reverse(func(r *Reversal) { r.AmountFen = 101 }), OverReversal},
		"reversal of points":        {reverse(func(r *Reversal) { r.Points = 1 }), OverReversal},
		"reversal of a coupon":      {reverse(func(r *Reversal) { r.Coupons = []string{"390962138708451328"} }), OverReversal},
		"reversal of zero":          {reverse(func(r *Reversal) { r.AmountFen = 0 }), NothingToDo},
		"reversal under an old key": {reverse(func(r *Reversal) { r.Key = "old" }), DuplicateKey},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b := booksWith(t, GiftFirst, member(500, 300, 200), Member{Vendor: ALSC, ID: "off", Balance: Money{Real: 1000}, Disabled: true})
			if _, err := b.Spend(Spend{Vendor: ALSC, Key: "old", Member: "m", AmountFen: 100}); err != nil {
				t.Fatal(err)
			}
			before := []any{b.Members(""), b.Entries(Filter{})}
			var got *Refusal
			if err := tc.do(b); !errors.As(err, &got) || got.Reason != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
			if diff := cmp.Diff(before, []any{b.Members(""), b.Entries(Filter{})}); diff != "" {
				t.Errorf("the books changed: %s", diff)
			}
		})
	}
}

// TestBooksAgreeWithAModel runs random operations against the books and
// against the simplest thing that could be right, on disk and in memory.
func TestBooksAgreeWithAModel(t *testing.T) {
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		path := filepath.Join(dir, fmt.Sprint(run))
		split := rapid.SampledFrom([]Split{GiftFirst, RealFirst}).Draw(t, "split")
		b, err := Open(path, split, clock)
		if err != nil {
			t.Fatal(err)
		}
		start := Member{
			Vendor: ALSC, ID: "m", Points: rapid.Int64Range(0, 50).Draw(t, "points"),
			Balance: Money{rapid.Int64Range(0, 500).Draw(t, "real"), rapid.Int64Range(0, 500).Draw(t, "gift"), rapid.Int64Range(0, 500).Draw(t, "pre")},
			Coupons: []Coupon{{ID: "c1"}, {ID: "c2"}, {ID: "c3"}},
		}
		if err := b.Put(start); err != nil {
			t.Fatal(err)
		}
		// The model: what is out, by seq of the spend.
		total, points := start.Balance.Total(), start.Points
		type out struct {
			fen, points int64
			coupons     []string
		}
		outs := map[int64]*out{}
		used := map[string]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"spend": func(t *rapid.T) {
				s := Spend{Vendor: ALSC, Key: fmt.Sprint("k", len(outs)), Member: "m",
					AmountFen: rapid.Int64Range(-5, 600).Draw(t, "fen"), Points: rapid.Int64Range(-2, 30).Draw(t, "points"),
					Coupons: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"c1", "c2", "c3"}), 0, 2, rapid.ID).Draw(t, "coupons")}
				want := s.AmountFen >= 0 && s.Points >= 0 && s.AmountFen+s.Points+int64(len(s.Coupons)) > 0 &&
					s.AmountFen <= total && s.Points <= points && !slices.ContainsFunc(s.Coupons, func(c string) bool { return used[c] })
				e, err := b.Spend(s)
				if (err == nil) != want {
					t.Fatalf("spend %+v: %v, want accepted %v", s, err, want)
				}
				if err == nil {
					total, points = total-s.AmountFen, points-s.Points
					outs[e.Seq] = &out{s.AmountFen, s.Points, s.Coupons}
					for _, c := range s.Coupons {
						used[c] = true
					}
				}
			},
			"reverse": func(t *rapid.T) {
				if len(outs) == 0 {
					return
				}
				seq := rapid.SampledFrom(slices.Sorted(mapKeys(outs))).Draw(t, "seq")
				o := outs[seq]
				r := Reversal{Vendor: ALSC, Original: seq, Key: "r", Rest: rapid.Bool().Draw(t, "rest"),
					AmountFen: rapid.Int64Range(0, 600).Draw(t, "fen"), Points: rapid.Int64Range(0, 30).Draw(t, "points")}
				if rapid.Bool().Draw(t, "with coupons") {
					r.Coupons = o.coupons
				}
				if r.Rest {
					r.AmountFen, r.Points, r.Coupons = o.fen, o.points, o.coupons
				}
				want := r.AmountFen+r.Points+int64(len(r.Coupons)) > 0 && r.AmountFen <= o.fen && r.Points <= o.points
				_, err := b.Reverse(r)
				if (err == nil) != want {
					t.Fatalf("reverse %+v of %+v: %v, want accepted %v", r, o, err, want)
				}
				if err == nil {
					total, points = total+r.AmountFen, points+r.Points
					for _, c := range r.Coupons {
						used[c] = false
					}
					o.fen, o.points = o.fen-r.AmountFen, o.points-r.Points
					if len(r.Coupons) > 0 {
						o.coupons = nil
					}
				}
			},
			"restart": func(t *rapid.T) {
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
				if b, err = Open(path, split, clock); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				m, _ := b.Find(ALSC, ByID, "m")
				if m.Balance.Total() != total || m.Points != points {
					t.Fatalf("the books have %d fen and %d points, the model %d and %d", m.Balance.Total(), m.Points, total, points)
				}
				var out int64
				for _, n := range b.Nets(Filter{}) {
					out += n.NetFen
				}
				if out+total != start.Balance.Total() {
					t.Fatalf("%d fen in the account and %d spent are not the %d at the start", total, out, start.Balance.Total())
				}
				for _, c := range m.Coupons {
					if (c.Status == CouponRedeemed) != used[c.ID] {
						t.Fatalf("coupon %s has status %d, used %v", c.ID, c.Status, used[c.ID])
					}
				}
			},
		})
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func mapKeys[K comparable, V any](m map[K]V) func(func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func TestConcurrentSpendsNeverOverdraw(t *testing.T) {
	b := booksWith(t, GiftFirst, member(500, 300, 200))
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			e, err := b.Spend(Spend{Vendor: ALSC, Key: fmt.Sprint(i), UniqueKey: true, Member: "m", AmountFen: 30})
			if err == nil && i%2 == 0 {
				if _, err := b.Reverse(Reversal{Vendor: ALSC, Original: e.Seq, Key: fmt.Sprint("r", i), AmountFen: 10}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	m, _ := b.Find(ALSC, ByID, "m")
	var net int64
	for _, n := range b.Nets(Filter{}) {
		net += n.NetFen
	}
	if m.Balance.Total()+net != 1000 {
		t.Errorf("%d fen left and %d spent are not 1000", m.Balance.Total(), net)
	}
}

func TestJournalSurvivesACutLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "books")
	b, err := Open(path, GiftFirst, clock)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Put(member(500, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Spend(Spend{Vendor: ALSC, Key: "k", Member: "m", AmountFen: 100, RequestID: "q"}); err != nil {
		t.Fatal(err)
	}
	want := b.Entries(Filter{})
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"entry":{"seq":2`); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time, the cut line must be gone for good
		b, err = Open(path, GiftFirst, clock)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, b.Entries(Filter{})); diff != "" {
			t.Error(diff)
		}
		if raw, err := os.ReadFile(path); err != nil || !strings.HasSuffix(string(raw), "\n") {
			t.Errorf("the cut line is still there: %q, %v", raw, err)
		}
		if _, ok := b.ByRequest(ALSC, "q"); !ok {
			t.Error("the request id was forgotten")
		}
	}
	if _, err := b.Spend(Spend{Vendor: ALSC, Key: "k2", Member: "m", AmountFen: 1}); err != nil {
		t.Fatal(err)
	}
	if b, err = Open(path, GiftFirst, clock); err != nil || len(b.Entries(Filter{})) != 2 {
		t.Errorf("after a cut line the next entry must be readable: %v", err)
	}
}

func TestJournalRefusesNonsense(t *testing.T) {
	tests := map[string]string{
		"no json":                       "x\n",
		"nothing set":                   "{}\n",
		"unknown field":                 `{"membr":{}}` + "\n",
		"an entry of no member":         `{"entry":{"seq":1,"vendor":"alsc","member":"m","kind":"spend"}}` + "\n",
		"an entry that does not add up": `{"member":{"vendor":"alsc","id":"m","balance":{"real":5,"gift":0}}}` + "\n" + `{"entry":{"seq":1,"vendor":"alsc","member":"m","kind":"spend","amount_fen":5,"split":{"real":4,"gift":0}}}` + "\n",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "books")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path, GiftFirst, clock); err == nil || !strings.Contains(err.Error(), "line ") {
				t.Errorf("got %v, want an error that names the line", err)
			}
		})
	}
}

func TestAClosedJournalBooksNothing(t *testing.T) {
	b, err := Open(filepath.Join(t.TempDir(), "books"), GiftFirst, clock)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Put(member(500, 0, 0)), b.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Spend(Spend{Vendor: ALSC, Key: "k", Member: "m", AmountFen: 1}); err == nil {
		t.Error("a spend that cannot be written must be refused")
	}
	if m, _ := b.Find(ALSC, ByID, "m"); m.Balance.Total() != 500 {
		t.Errorf("the balance is %d fen, want 500", m.Balance.Total())
	}
}

func TestMembersAreFoundByWhatTheyHaveNow(t *testing.T) {
	b := booksWith(t, GiftFirst, member(1, 0, 0))
	for by, v := range map[By]string{ByID: "m", ByCard: "card", ByAccount: "card", ByCoupon: "390962138708451328", ByScanCode: "S1"} {
		if _, ok := b.Find(ALSC, by, v); !ok {
			t.Errorf("not found by %s", by)
		}
	}
	m := member(1, 0, 0)
	m.CardID, m.AccountID = "other", "account"
	if err := b.Put(m); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Find(ALSC, ByCard, "card"); ok {
		t.Error("found by a card that the member no longer has")
	}
	if _, ok := b.Find(ALSC, ByAccount, "account"); !ok {
		t.Error("not found by the new account")
	}
}

func TestPutNamesTheWrongField(t *testing.T) {
	tests := map[string]struct {
		m    Member
		want string
	}{
		"vendor":       {Member{ID: "m"}, "vendor"},
		"id":           {Member{Vendor: ALSC}, "id"},
		"balance":      {Member{Vendor: ALSC, ID: "m", Balance: Money{Gift: -1}}, "balance"},
		"prepaid":      {Member{Vendor: Zhimai, ID: "m", Balance: Money{Pre: 1}}, "balance.pre"},
		"points":       {Member{Vendor: ALSC, ID: "m", Points: -1}, "points"},
		"coupon twice": {Member{Vendor: ALSC, ID: "m", Coupons: []Coupon{{ID: "1"}, {ID: "1"}}}, "coupons[1].id"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if err := New(GiftFirst, clock).Put(tc.m); err == nil || !strings.HasPrefix(err.Error(), tc.want+":") {
				t.Errorf("got %v, want it to name %s", err, tc.want)
			}
		})
	}
}

func TestNetsFoldByTheKeyOfTheSpend(t *testing.T) {
	b := booksWith(t, GiftFirst, member(500, 0, 0))
	first, err := b.Spend(Spend{Vendor: ALSC, Key: "k", Member: "m", AmountFen: 100})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Spend(Spend{Vendor: ALSC, Key: "k", Member: "m", AmountFen: 100, Points: 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Reverse(Reversal{Vendor: ALSC, Original: first.Seq, Key: "r", AmountFen: 40}); err != nil {
		t.Fatal(err)
	}
	want := []Net{{Vendor: ALSC, Key: "k", Member: "m", Spends: 2, Reversals: 1, SpentFen: 200, NetFen: 160, NetPoints: 3}}
	for name, f := range map[string]Filter{"all": {}, "by key": {Key: "k"}} {
		if diff := cmp.Diff(want, b.Nets(f)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got := b.Nets(Filter{Key: "r"}); len(got) != 0 {
		t.Errorf("a reversal is no order of its own: %+v", got)
	}
	if err := b.Reset(true); err != nil {
		t.Fatal(err)
	}
	if m, ok := b.Find(ALSC, ByID, "m"); !ok || m.Balance.Total() != 340 || len(b.Entries(Filter{})) != 0 {
		t.Errorf("reset must keep the member as it is: %+v", m)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte(`{"reset":"all"}`))
	f.Add([]byte(`{"member":{"vendor":"alsc","id":"m","balance":{"real":1,"gift":2}}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		b := booksWith(t, GiftFirst, member(1, 2, 3))
		_ = b.replay(line) // must not panic
	})
}
