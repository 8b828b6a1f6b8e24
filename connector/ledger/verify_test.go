// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/ledger/ledgertest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/hack/postgres/pgtest"
)

// backends are what a test of both runs on. tamper runs SQL with every guard of the schema out of the way.
type backend struct {
	*Ledger
	exec   func(sql string) error
	tamper func(t *testing.T, sql string)
}

var backends = map[string]func(t *testing.T) backend{"SQLite": sqliteBackend, "PostgreSQL": postgresBackend}

func sqliteBackend(t *testing.T) backend {
	l := openConfig(t, sqliteConfig(t))
	exec := func(sql string) error { return l.store.(*sqliteStore).execForTest(sql) }
	var off sync.Once
	return backend{l, exec, func(t *testing.T, sql string) {
		t.Helper()
		off.Do(func() {
			err := exec(strings.Join(dropSQLiteTriggers(t, l), "; "))
			if err != nil {
				t.Fatal(err)
			}
		})
		if err := exec("PRAGMA ignore_check_constraints = 1; " + sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}}
}

// execForTest runs SQL on a connection of its own, as the sqlite3 program would.
func (s *sqliteStore) execForTest(sql string) error {
	db, err := openRaw(s.path)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.Exec(sql)
	return err
}

func dropSQLiteTriggers(t *testing.T, l *Ledger) (drops []string) {
	t.Helper()
	err := l.store.read(t.Context(), query{sql: "SELECT name FROM sqlite_schema WHERE type = 'trigger'", each: func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		drops = append(drops, "DROP TRIGGER "+name)
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	return drops
}

func postgresBackend(t *testing.T) backend {
	l := openConfig(t, Config{DSN: pgtest.DSN(t)})
	var off sync.Once
	pool := l.store.(*postgresStore).pool
	exec := func(sql string) error {
		_, err := pool.Exec(context.Background(), sql)
		return err
	}
	return backend{l, exec, func(t *testing.T, sql string) {
		t.Helper()
		// A superuser who means it: triggers off, checks dropped.
		off.Do(func() {
			if err := exec("DO $$ DECLARE c record; BEGIN FOR c IN SELECT conrelid::regclass AS t, conname FROM pg_constraint WHERE contype = 'c' AND connamespace = current_schema()::regnamespace" +
				" LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.t, c.conname); END LOOP; END $$"); err != nil {
				t.Fatal(err)
			}
		})
		if err := exec("BEGIN; SET LOCAL session_replication_role = replica; " + sql + "; COMMIT"); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}}
}

func eachBackend(t *testing.T, test func(t *testing.T, l backend)) {
	t.Helper()
	for name, open := range backends {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// populate makes a sealed ledger: b1 executed and partly reversed by v1, b2 in doubt, b3 refused.
func populate(t *testing.T, l redeem.Ledger) {
	t.Helper()
	apply := func(c redeem.Change) {
		t.Helper()
		if _, err := l.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	apply(ledgertest.Executed(ledgertest.Record(t, l, ledgertest.New("b1")), ledgertest.T0))
	apply(ledgertest.Executed(ledgertest.Record(t, l, ledgertest.Reversal("v1", "b1", 400, 1)), ledgertest.T0))
	b2 := ledgertest.Record(t, l, ledgertest.New("b2"))
	apply(redeem.Change{Key: b2.Key(), At: ledgertest.T0, Legs: []redeem.LegChange{{No: 0, From: redeem.StateSent, Epoch: 1, To: redeem.StateUnknown, NextCheck: ledgertest.T0}}})
	apply(ledgertest.Refused(ledgertest.Record(t, l, ledgertest.New("b3")), ledgertest.T0))
}

var later = ledgertest.T0.Add(time.Hour)

func seal(t *testing.T, l *Ledger) Seal {
	t.Helper()
	s, err := l.Seal(t.Context(), ledgertest.Brand, later)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func verify(t *testing.T, l *Ledger) Report {
	t.Helper()
	r, err := l.Verify(t.Context(), ledgertest.Brand)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerify(t *testing.T) {
	eachBackend(t, func(t *testing.T, l backend) {
		populate(t, l)
		if got := verify(t, l.Ledger); got.Break != nil || got.Redemptions != 4 || got.Unsealed != 4 {
			t.Errorf("before the seal: %+v, break %v", got, got.Break)
		}
		s := seal(t, l.Ledger)
		got := verify(t, l.Ledger)
		if got.Break != nil || got.Seals != 1 || got.Unsealed != 0 || !bytes.Equal(got.Head.Hash, s.Hash) {
			t.Errorf("sealed: %+v, break %v", got, got.Break)
		}
		if again := seal(t, l.Ledger); !cmp.Equal(s, again) {
			t.Errorf("nothing changed and there is a new seal %+v after %+v", again, s)
		}
		// b2 was sealed while open, and goes on.
		b2, err := l.Get(t.Context(), redeem.Key{BrandID: ledgertest.Brand, Action: redeem.Verify, BizID: "b2"})
		if err != nil {
			t.Fatal(err)
		}
		open, err := l.Search(t.Context(), redeem.Query{BrandID: ledgertest.Brand, Unanswered: true}, 9)
		if err != nil || len(open) != 1 {
			t.Fatalf("unanswered: %d, %v", len(open), err)
		}
		if _, err := l.Apply(t.Context(), ledgertest.Executed(b2, ledgertest.T0)); err != nil {
			t.Fatal(err)
		}
		if got := seal(t, l.Ledger); got.No != 2 || got.Members != 1 {
			t.Errorf("second seal %+v", got)
		}
		if got := verify(t, l.Ledger); got.Break != nil {
			t.Errorf("break %v", got.Break)
		}
	})
}

func TestKeepSealed(t *testing.T) {
	c := sqliteConfig(t)
	logged := make(chan string, 16)
	c.Logger = slog.New(slog.NewTextHandler(lines(logged), nil))
	l := openConfig(t, c)
	populate(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		l.KeepSealed(ctx, ledgertest.Brand, time.Millisecond)
		close(ended)
	}()
	line := <-logged
	cancel()
	<-ended
	if want := fmt.Sprintf("%x", verify(t, l).Head.Hash); !strings.Contains(line, want) {
		t.Errorf("logged %s, the newest seal is %s", line, want)
	}
}

type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// TestVerifyFindsTampering changes every column of every table, one at a time.
func TestVerifyFindsTampering(t *testing.T) {
	eachBackend(t, func(t *testing.T, l backend) {
		populate(t, l)
		// A retired redemption gives a tombstone to tamper with.
		old := ledgertest.New("b0")
		old.CreatedAt = ledgertest.T0.Add(-1000 * time.Hour)
		if _, err := l.Apply(t.Context(), ledgertest.Executed(ledgertest.Record(t, l, old), old.CreatedAt)); err != nil {
			t.Fatal(err)
		}
		seal(t, l.Ledger)
		if n, err := l.Retain(t.Context(), ledgertest.Brand, ledgertest.T0.Add(-time.Hour), later); n != 1 || err != nil {
			t.Fatalf("retired %d, %v", n, err)
		}
		if got := verify(t, l.Ledger); got.Break != nil || got.Tombstones != 1 {
			t.Fatalf("report %+v, break %v", got, got.Break)
		}
		sealed := split("brand_id seal_no action biz_id seq hash")
		for table, columns := range map[string][]string{
			"redemption": redemptionColumns, "line": lineColumns, "leg": legColumns, "event": eventColumns,
			"tombstone": append(split("flow_id fingerprint fingerprint_ver outcome answer_hash created_at concluded_at retired_at seq head"), keyColumns...),
			"seal":      split("brand_id no at members prev_hash hash"), "seal_member": sealed,
		} {
			where := "biz_id = 'b1'"
			switch table {
			case "seal":
				where = "no = 1"
			case "tombstone":
				where = "biz_id = 'b0'"
			case "seal_member":
				where = "biz_id = 'b1' AND seal_no = 1"
			case "line", "leg":
				where += " AND no = 1"
			case "event":
				where += " AND seq = 2"
			}
			for _, column := range columns {
				t.Run(table+"."+column, func(t *testing.T) { tamperColumn(t, l, table, column, where) })
			}
		}
		for name, sql := range map[string]string{
			"an event in the middle is deleted":       "DELETE FROM event WHERE biz_id = 'b1' AND seq = 2",
			"the last event is deleted":               "DELETE FROM event WHERE biz_id = 'b3' AND seq = (SELECT max(seq) FROM event WHERE biz_id = 'b3')",
			"a leg is deleted":                        "DELETE FROM leg WHERE biz_id = 'b1' AND no = 1",
			"a line is deleted":                       "DELETE FROM line WHERE biz_id = 'b1' AND no = 1",
			"a redemption is deleted, its events not": "DELETE FROM redemption WHERE biz_id = 'b3'",
			"the tombstone is deleted":                "DELETE FROM tombstone",
			"a member of a seal is deleted":           "DELETE FROM seal_member WHERE biz_id = 'b3'",
			"a seal in the middle is deleted":         "DELETE FROM seal WHERE no = 1",
			"a leg is put in":                         "INSERT INTO leg SELECT brand_id, action, biz_id, 7, provider, operation, upstream_key, lines, reversible, call, member_ref, amount_fen, points, coupons, state, epoch, lease_owner, lease_until, next_check, checks, not_found, sent_at, unknown_at, resolved_at, outcome, due_at FROM leg WHERE biz_id = 'b1' AND no = 0",
			"a tombstone is put over what is there":   "INSERT INTO tombstone SELECT brand_id, action, 'b3', flow_id, fingerprint, fingerprint_ver, outcome, answer_hash, created_at, concluded_at, retired_at, seq, head FROM tombstone",
		} {
			t.Run(name, func(t *testing.T) { tampered(t, l, sql) })
		}
		t.Run("a whole redemption is deleted", func(t *testing.T) {
			for _, table := range []string{"redemption", "line", "leg", "event"} {
				l.tamper(t, "DELETE FROM "+table+" WHERE biz_id = 'b3'")
			}
			if b := verify(t, l.Ledger).Break; b == nil || b.Key.BizID != "b3" {
				t.Errorf("break %v", b)
			}
		})
	})
}

// tamperColumn changes the value, wants a break, and changes it back.
func tamperColumn(t *testing.T, l backend, table, column, where string) {
	var was any
	read := func() (v any) {
		err := l.store.read(t.Context(), query{sql: "SELECT " + column + " FROM " + table + " WHERE " + where, each: func(scan func(...any) error) error { return scan(&v) }})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	was = read()
	set := func(v string) { l.tamper(t, "UPDATE "+table+" SET "+column+" = "+v+" WHERE "+where) }
	bytea := func(b []byte) string {
		if _, pg := l.store.(*postgresStore); pg {
			return fmt.Sprintf(`'\x%x'`, b)
		}
		return fmt.Sprintf("x'%x'", b)
	}
	render := func(v any, change bool) string {
		switch v := v.(type) {
		case int64:
			if change {
				v++
			}
			return fmt.Sprint(v)
		case string:
			if change {
				v += "0"
			}
			return "'" + v + "'"
		case []byte:
			if change {
				v = append(bytes.Clone(v), 1)
			}
			return bytea(v)
		}
		t.Fatalf("a column of type %T", v)
		return ""
	}
	key := column == "brand_id" || column == "biz_id" || column == "action" || column == "no" || column == "seq" || column == "seal_no"
	if key { // the row cannot be found again by the same condition: change it within a copy of the condition
		moved := strings.ReplaceAll(where, "biz_id = 'b1'", "biz_id = "+render("b1", column == "biz_id"))
		moved = strings.ReplaceAll(moved, "biz_id = 'b0'", "biz_id = "+render("b0", column == "biz_id"))
		if column == "no" || column == "seq" || column == "seal_no" {
			moved = moveNumber(where, column)
		}
		set(rekey(was, column, render))
		wantBreak(t, l)
		l.tamper(t, "UPDATE "+table+" SET "+column+" = "+render(was, false)+" WHERE "+moved)
	} else {
		set(render(was, true))
		wantBreak(t, l)
		set(render(was, false))
	}
	if b := verify(t, l.Ledger).Break; b != nil {
		t.Fatalf("after undoing it: %v", b)
	}
}

// rekey is a value for a key column that no other row has.
func rekey(was any, column string, render func(any, bool) string) string {
	if n, ok := was.(int64); ok {
		return fmt.Sprint(n + 100)
	}
	return render(was, true)
}

func moveNumber(where, column string) string {
	for n := range 3 {
		where = strings.ReplaceAll(where, fmt.Sprintf("%s = %d", column, n), fmt.Sprintf("%s = %d", column, n+100))
	}
	return where
}

func wantBreak(t *testing.T, l backend) {
	t.Helper()
	if r := verify(t, l.Ledger); r.Break == nil {
		t.Error("not found")
	}
}

// tampered runs the SQL on a copy of the rows and puts them back.
func tampered(t *testing.T, l backend, sql string) {
	tables := []string{"redemption", "line", "leg", "event", "tombstone", "seal", "seal_member"}
	for _, table := range tables {
		l.tamper(t, "CREATE TABLE kept_"+table+" AS SELECT * FROM "+table)
	}
	l.tamper(t, sql)
	wantBreak(t, l)
	for _, table := range tables {
		l.tamper(t, "DELETE FROM "+table)
		l.tamper(t, "INSERT INTO "+table+" SELECT * FROM kept_"+table)
		l.tamper(t, "DROP TABLE kept_"+table)
	}
	if b := verify(t, l.Ledger).Break; b != nil {
		t.Fatalf("after undoing it: %v", b)
	}
}

func TestSchemaRefuses(t *testing.T) {
	eachBackend(t, func(t *testing.T, l backend) {
		populate(t, l)
		seal(t, l.Ledger)
		for _, from := range ledgertest.States {
			r := ledgertest.New("edge-" + string(from))
			ledgertest.Record(t, l, r)
			for _, next := range ledgertest.Path(from) {
				if err := l.exec(fmt.Sprintf("UPDATE leg SET state = '%s' WHERE biz_id = '%s'", next, r.BizID)); err != nil {
					t.Fatal(err)
				}
			}
			for _, to := range ledgertest.States {
				legal := from == to
				for _, e := range redeem.Edges[from] {
					legal = legal || e == to
				}
				if legal {
					continue
				}
				if err := l.exec(fmt.Sprintf("UPDATE leg SET state = '%s' WHERE biz_id = '%s'", to, r.BizID)); err == nil {
					t.Errorf("from %s to %s by SQL: done", from, to)
				}
			}
		}
		for _, sql := range []string{
			"UPDATE leg SET state = 'lost' WHERE biz_id = 'b2'",
			"UPDATE leg SET epoch = 0 WHERE biz_id = 'b2'",
			"UPDATE leg SET upstream_key = 'x' WHERE biz_id = 'b2'",
			"UPDATE leg SET amount_fen = 1 WHERE biz_id = 'b2'",
			"UPDATE line SET amount_fen = 1 WHERE biz_id = 'b2'",
			"UPDATE line SET reversed_fen = total_fen + 1 WHERE biz_id = 'b1'",
			"UPDATE line SET reversed_quantity = quantity + 1 WHERE biz_id = 'b1'",
			"UPDATE line SET reversed_fen = -1 WHERE biz_id = 'b1'",
			"UPDATE redemption SET answer = NULL, concluded_at = 0 WHERE biz_id = 'b1'",
			"UPDATE redemption SET fingerprint = answer WHERE biz_id = 'b1'",
			"UPDATE event SET actor = 'x'",
			"DELETE FROM event",
			"DELETE FROM leg WHERE biz_id = 'b1'",
			"DELETE FROM line WHERE biz_id = 'b1'",
			"DELETE FROM redemption WHERE biz_id = 'b1'",
			"UPDATE seal SET at = 1",
			"DELETE FROM seal",
			"DELETE FROM seal_member",
		} {
			if err := l.exec(sql); err == nil {
				t.Errorf("%s: done", sql)
			} else if !strings.Contains(err.Error(), "hexiao") && !strings.Contains(strings.ToLower(err.Error()), "check") {
				t.Errorf("%s: refused for another reason: %v", sql, err)
			}
		}
	})
}

func TestRetain(t *testing.T) {
	eachBackend(t, func(t *testing.T, l backend) {
		populate(t, l)
		seal(t, l.Ledger)
		ctx := t.Context()
		b1 := redeem.Key{BrandID: ledgertest.Brand, Action: redeem.Verify, BizID: "b1"}
		// A reversal of b1 is open: b1 must stay.
		v2 := ledgertest.Record(t, l, ledgertest.Reversal("v2", "b1", 1, 0))
		n, err := l.Retain(ctx, ledgertest.Brand, later, later.Add(time.Second))
		if err != nil || n != 2 { // v1 and b3; b1 has an open reversal and b2 is open
			t.Fatalf("retired %d, %v", n, err)
		}
		if _, err := l.Get(ctx, b1); err != nil {
			t.Error(err)
		}
		if _, err := l.Apply(ctx, ledgertest.Executed(v2, ledgertest.T0)); err != nil {
			t.Fatal(err)
		}
		if n, err := l.Retain(ctx, ledgertest.Brand, later, later.Add(time.Second)); err != nil || n != 2 {
			t.Fatalf("retired %d, %v", n, err)
		}
		if r := verify(t, l.Ledger); r.Break != nil || r.Tombstones != 4 || r.Redemptions != 1 {
			t.Errorf("report %+v, break %v", r, r.Break)
		}
		got, created, err := l.Record(ctx, ledgertest.New("b1"))
		if created || !errors.Is(err, redeem.ErrRetired) || errors.Is(err, redeem.ErrNotFound) {
			t.Errorf("record of a retired key: created %v, %v", created, err)
		}
		want := redeem.Redemption{BrandID: ledgertest.Brand, Action: redeem.Verify, BizID: "b1", FlowID: "Fb1", Fingerprint: []byte{1, 2, 3}, FingerprintVer: 1,
			CreatedAt: ledgertest.T0, ConcludedAt: ledgertest.T0}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("retired (-want +got):\n%s", diff)
		}
		_, err = l.Get(ctx, b1)
		if !errors.Is(err, redeem.ErrNotFound) || !errors.Is(err, redeem.ErrRetired) {
			t.Errorf("get: %v", err)
		}
		_, err = l.ByFlowID(ctx, ledgertest.Brand, "Fb1")
		if !errors.Is(err, redeem.ErrNotFound) || !errors.Is(err, redeem.ErrRetired) {
			t.Errorf("by flow id: %v", err)
		}
		_, _, err = l.Record(ctx, ledgertest.Reversal("v9", "b1", 1, 0))
		if !errors.Is(err, redeem.ErrNotFound) || errors.Is(err, redeem.ErrRetired) {
			t.Errorf("reversal of a retired redemption: %v", err)
		}
		if err := l.exec("INSERT INTO redemption SELECT brand_id, action, 'b1', 'F', shop_id, trans_order_no, payment_no, refund_payment_no, kry_member_id, member_id, member_name, mobile_hash, request_id, operator_id, trace_id, fingerprint, fingerprint_ver, reverses_biz_id, answer, created_at, updated_at, concluded_at, contradiction, policy_on_partial, policy_on_in_doubt, config_revision, connector_version, reserved, write_id, seq, head, sealed FROM redemption WHERE biz_id = 'b2'"); err == nil || !strings.Contains(err.Error(), "retired") {
			t.Errorf("insert of a retired key by SQL: %v", err)
		}
	})
}

func TestExport(t *testing.T) {
	eachBackend(t, func(t *testing.T, l backend) {
		populate(t, l)
		for i := range exportPage { // more than a page, many with the same time
			r := ledgertest.New(fmt.Sprintf("x%03d", i))
			r.ShopID = "=cmd()"
			ledgertest.Record(t, l, r)
		}
		var out bytes.Buffer
		n, err := l.Export(t.Context(), &out, CSV, redeem.Query{BrandID: ledgertest.Brand})
		if err != nil || n != exportPage+4 {
			t.Fatalf("exported %d, %v", n, err)
		}
		rows, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(rows) != 1+2*(exportPage+4) {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		got := map[string]string{}
		for i, name := range rows[0] {
			got[name] = rows[len(rows)-1][i]
		}
		want := map[string]string{"biz_id": "x199", "shop_id": "'=cmd()", "line": "1", "quantity": "2", "leg_state": "sent", "vendor_key": "HX1x199"}
		for k, v := range want {
			if got[k] != v {
				t.Errorf("%s is %q, want %q", k, got[k], v)
			}
		}
		out.Reset()
		if n, err := l.Export(t.Context(), &out, JSON, redeem.Query{BrandID: ledgertest.Brand, BizID: "b1"}); err != nil || n != 1 {
			t.Fatalf("exported %d, %v", n, err)
		}
		var r redeem.Redemption
		if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.BizID != "b1" || r.MobileHash != "" || r.Answer != nil {
			t.Errorf("%+v, %v", r, err)
		}
		if _, err := l.Export(t.Context(), &out, "xml", redeem.Query{}); err == nil {
			t.Error("xml was exported")
		}
	})
}

func TestVerifyRedemptionLooksAtOneAlone(t *testing.T) {
	eachBackend(t, func(t *testing.T, l backend) {
		populate(t, l)
		key := func(bizID string) redeem.Key {
			return redeem.Key{BrandID: ledgertest.New(bizID).BrandID, Action: redeem.Verify, BizID: bizID}
		}
		check := func(bizID string, broken bool) {
			t.Helper()
			r, err := l.VerifyRedemption(t.Context(), key(bizID))
			if err != nil || (r.Break != nil) != broken || r.Redemptions != 1 || r.Events == 0 {
				t.Errorf("%s: %+v, %v", bizID, r, err)
			}
		}
		check("b1", false)
		check("b2", false)
		l.tamper(t, "UPDATE line SET total_fen = total_fen + 1 WHERE biz_id = 'b1' AND action = 'VERIFY' AND no = 0")
		check("b1", true)
		check("b2", false)
		if _, err := l.VerifyRedemption(t.Context(), key("never")); !errors.Is(err, redeem.ErrNotFound) {
			t.Errorf("one that there is not: %v", err)
		}
	})
}
