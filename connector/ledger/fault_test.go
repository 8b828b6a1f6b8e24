// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hexiao-dev/hexiao/connector/ledger/ledgertest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/hack/postgres/pgtest"
)

// childPath in the environment makes this program write to the SQLite ledger there until it is killed; childLimit, in bytes, makes the disk
// fail before that.
const (
	childPath  = "HEXIAO_LEDGER_TEST_PATH"
	childLimit = "HEXIAO_LEDGER_TEST_LIMIT"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		writeForEver(path, os.Getenv(childLimit) != "")
	}
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "rapid.checks" })
	if !chosen { // each check is some dozens of commits, waited for twice
		if err := flag.Set("rapid.checks", "15"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// writeForEver records and settles from 16 goroutines and says on standard output what was acknowledged.
func writeForEver(path string, limited bool) {
	l, err := Open(context.Background(), Config{Path: path})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	if limited {
		signal.Ignore(syscall.SIGXFSZ) // so that a write past the limit is an error
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	}
	for i := range 16 {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("b%d-%d", i, n)
				r, _, err := l.Record(context.Background(), ledgertest.New(id))
				if err == nil {
					fmt.Println("recorded", id)
					_, err = l.Apply(context.Background(), ledgertest.Executed(r, ledgertest.T0))
				}
				if err != nil {
					return
				}
				fmt.Println("settled", id)
			}
		}()
	}
	select {}
}

// child starts writeForEver and returns it with its acknowledgements.
func child(t *testing.T, path string, limited bool) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), childPath+"="+path)
	if limited {
		cmd.Env = append(cmd.Env, childLimit+"=1")
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewScanner(out)
}

// wantAcknowledged opens the ledger and looks for everything that was acknowledged.
func wantAcknowledged(t *testing.T, path string, lines []string) {
	t.Helper()
	l := openConfig(t, Config{Path: path})
	for _, line := range lines {
		what, id, _ := strings.Cut(line, " ")
		r, err := l.Get(t.Context(), redeem.Key{BrandID: ledgertest.Brand, Action: redeem.Verify, BizID: id})
		if err != nil {
			t.Fatalf("%s was acknowledged: %v", line, err)
		}
		if what == "settled" && r.Answer == nil {
			t.Fatalf("%s was acknowledged and is %+v", line, r)
		}
	}
	if r := verify(t, l); r.Break != nil {
		t.Errorf("break %v", r.Break)
	}
}

func TestSQLiteKeepsWhatItAcknowledged(t *testing.T) {
	t.Run("when it is killed", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ledger.db")
		var lines []string
		for range 3 { // each start finds what the kill before it left
			cmd, acknowledged := child(t, path, false)
			for n := 0; n < 60 && acknowledged.Scan(); n++ {
				lines = append(lines, acknowledged.Text())
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			for acknowledged.Scan() {
				lines = append(lines, acknowledged.Text())
			}
			_ = cmd.Wait()
			if t.Failed() || strings.HasPrefix(lines[len(lines)-1], "error") {
				t.Fatal(lines[len(lines)-1])
			}
			fresh := filepath.Join(t.TempDir(), "ledger.db") // the next child writes the same keys elsewhere
			wantAcknowledged(t, path, lines)
			path, lines = fresh, nil
		}
	})
	t.Run("when the disk fails, and ends the process", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ledger.db")
		cmd, acknowledged := child(t, path, true)
		var lines []string
		for acknowledged.Scan() {
			lines = append(lines, acknowledged.Text())
		}
		err := cmd.Wait()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 70 {
			t.Fatalf("the process ended with %v", err)
		}
		if len(lines) < 10 {
			t.Fatalf("only %q before the limit", lines)
		}
		wantAcknowledged(t, path, lines)
	})
}

func TestSQLiteFullAndReadOnlyAreClean(t *testing.T) {
	for name, tc := range map[string]struct{ breakIt, mend, want string }{
		"full":      {"PRAGMA max_page_count = 10", "PRAGMA max_page_count = 1000000", "is full, nothing was written"},
		"read-only": {"PRAGMA query_only = 1", "PRAGMA query_only = 0", "is read-only, nothing was written"},
	} {
		t.Run(name, func(t *testing.T) {
			c := sqliteConfig(t)
			c.Fatal = func(err error) { t.Errorf("fatal: %v", err) }
			l := openConfig(t, c)
			ledgertest.Record(t, l, ledgertest.New("before"))
			pragma := func(text string) {
				t.Helper()
				if err := l.store.(*sqliteStore).writer.exec(text); err != nil { // the writer rests
					t.Fatal(err)
				}
			}
			pragma(tc.breakIt)
			failed := 0
			for i := range 50 {
				_, _, err := l.Record(t.Context(), ledgertest.New(fmt.Sprint("b", i)))
				if err == nil {
					continue // there was room in a page
				}
				failed++
				if errors.Is(err, redeem.ErrCommitUnclear) || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("error %v", err)
				}
				if _, err := l.Get(t.Context(), redeem.Key{BrandID: ledgertest.Brand, Action: redeem.Verify, BizID: fmt.Sprint("b", i)}); !errors.Is(err, redeem.ErrNotFound) {
					t.Errorf("b%d failed and is there: %v", i, err)
				}
			}
			if failed == 0 {
				t.Error("nothing failed")
			}
			pragma(tc.mend)
			ledgertest.Record(t, l, ledgertest.New("after"))
			if r := verify(t, l); r.Break != nil {
				t.Errorf("break %v", r.Break)
			}
		})
	}
}

func TestSQLiteKeepsOthersOut(t *testing.T) {
	c := sqliteConfig(t)
	openConfig(t, c)
	_, err := Open(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid(), " has this ledger open")) {
		t.Errorf("a second one: %v", err)
	}
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(c.Path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", info.Name(), info.Mode())
		}
	}
}

func TestJudgeFileSystem(t *testing.T) {
	for name, tc := range map[string]struct {
		magic uint32
		fuse  bool
		want  string
	}{
		"ext4":               {0xEF53, false, ""},
		"overlayfs":          {0x794C7630, false, ""},
		"NFS":                {0x6969, true, "NFS"},
		"SMB":                {0xFE534D42, true, "SMB2"},
		"CIFS":               {0xFF534D42, true, "CIFS"},
		"CephFS":             {0x00C36400, true, "CephFS"},
		"FUSE":               {0x65735546, false, "FUSE"},
		"FUSE that is known": {0x65735546, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := judgeFileSystem("/data", tc.magic, tc.fuse)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestClosed(t *testing.T) {
	l := openConfig(t, sqliteConfig(t))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Record(t.Context(), ledgertest.New("b1")); !errors.Is(err, ErrClosed) {
		t.Errorf("record: %v", err)
	}
	if _, err := l.Get(t.Context(), redeem.Key{}); !errors.Is(err, ErrClosed) {
		t.Errorf("get: %v", err)
	}
}

// TestPostgresKilled kills the server under writers: what was said of each record is the truth afterwards.
func TestPostgresKilled(t *testing.T) {
	server := pgtest.Start(t)
	dsn := pgtest.Database(t, server)
	l := openConfig(t, Config{DSN: dsn})
	ctx, giveUp := context.WithCancel(t.Context()) // not before the kill: how long a commit takes is the machine's affair
	defer giveUp()
	var mu sync.Mutex
	said := map[string]error{}
	var acknowledged atomic.Int64
	killed := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n, down := 0, 0; down < 2; n++ { // until it fails twice
				id := fmt.Sprintf("b%d-%d", i, n)
				_, created, err := l.Record(ctx, ledgertest.New(id))
				if err == nil && !created {
					t.Errorf("%s was there before", id)
				}
				mu.Lock()
				said[id] = err
				mu.Unlock()
				if err != nil {
					<-killed
					down++
				} else {
					acknowledged.Add(1)
				}
			}
		})
	}
	for acknowledged.Load() < 50 && !t.Failed() {
		time.Sleep(time.Millisecond)
	}
	server.Kill()
	close(killed)
	defer time.AfterFunc(500*time.Millisecond, giveUp).Stop()
	wg.Wait()
	server.Restart()
	again := openConfig(t, Config{DSN: dsn})
	counts := map[string]int{}
	for id, err := range said {
		_, lookup := again.Get(t.Context(), redeem.Key{BrandID: ledgertest.Brand, Action: redeem.Verify, BizID: id})
		there := lookup == nil
		switch {
		case err == nil && !there:
			t.Errorf("%s was acknowledged and is lost: %v", id, lookup)
		case err != nil && there && !errors.Is(err, redeem.ErrCommitUnclear):
			t.Errorf("%s failed with %v and is there", id, err)
		case err == nil:
			counts["acknowledged"]++
		case errors.Is(err, redeem.ErrCommitUnclear):
			counts["unclear"]++
		default:
			counts["refused"]++
		}
	}
	t.Log(counts)
	if err := l.Ping(t.Context()); err != nil {
		t.Errorf("the ledger that lived through it: %v", err)
	}
	if r := verify(t, again); r.Break != nil {
		t.Errorf("break %v", r.Break)
	}
}

// cutter is a way to a server on which answers can be lost.
type cutter struct {
	net.Listener
	target string
	lose   atomic.Bool // the next answer, and the connection
	down   atomic.Bool
}

func cut(t *testing.T, dsn string) (*cutter, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	c := &cutter{Listener: listener, target: u.Host}
	go c.serve()
	u.Host = listener.Addr().String()
	return c, u.String()
}

func (c *cutter) serve() {
	for {
		client, err := c.Accept()
		if err != nil {
			return
		}
		if c.down.Load() {
			_ = client.Close()
			continue
		}
		server, err := net.Dial("tcp", c.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
		go func() {
			defer func() { _ = client.Close() }()
			buf := make([]byte, 1<<16)
			for {
				n, err := server.Read(buf)
				if err != nil || c.lose.CompareAndSwap(true, false) {
					return
				}
				if _, err := client.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
	}
}

func TestPostgresLosesTheAnswerOfACommit(t *testing.T) {
	dsn := pgtest.DSN(t)
	way, through := cut(t, dsn)
	l := openConfig(t, Config{DSN: through + "&pool_max_conns=1"})
	warm := ledgertest.Record(t, l, ledgertest.New("warm")) // prepares the statements
	if _, err := l.Apply(t.Context(), ledgertest.Executed(warm, ledgertest.T0)); err != nil {
		t.Fatal(err)
	}

	t.Run("Record finds its own row again", func(t *testing.T) {
		way.lose.Store(true)
		ledgertest.Record(t, l, ledgertest.New("b1"))
		if way.lose.Load() {
			t.Error("no answer was lost")
		}
	})
	t.Run("Record says that it does not know when the server stays away", func(t *testing.T) {
		ledgertest.Record(t, l, ledgertest.New("warm2")) // on the new connection
		way.lose.Store(true)
		way.down.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for way.lose.Load() {
				time.Sleep(time.Millisecond)
			}
			time.AfterFunc(500*time.Millisecond, cancel) // it looks again, in vain, until its time is over
		}()
		_, created, err := l.Record(ctx, ledgertest.New("b2"))
		way.down.Store(false)
		if created || !errors.Is(err, redeem.ErrCommitUnclear) {
			t.Fatalf("created %v, %v", created, err)
		}
		_, created, err = l.Record(t.Context(), ledgertest.New("b2"))
		if created || err != nil { // the first one did commit
			t.Errorf("again: created %v, %v", created, err)
		}
	})
	t.Run("Apply finds its own change again", func(t *testing.T) {
		r, err := l.Get(t.Context(), redeem.Key{BrandID: ledgertest.Brand, Action: redeem.Verify, BizID: "b1"})
		if err != nil {
			t.Fatal(err)
		}
		// An evidence in place has no state by which it would be fenced: made twice it would be there twice.
		change := redeem.Change{Key: r.Key(), At: ledgertest.T0, Actor: "engine", Contradiction: true, Events: []redeem.Event{{LegNo: -1, Kind: "evidence"}}}
		var losing losingStore
		losing.store, losing.way = l.store, way
		if _, err := (&Ledger{store: &losing, observer: nobody{}, logger: l.logger}).Apply(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		events, err := l.Events(t.Context(), r.Key())
		if err != nil || len(events) != 3 {
			t.Errorf("%d events, %v", len(events), err)
		}
	})
}

// losingStore loses the answer of the first commit.
type losingStore struct {
	store
	way  *cutter
	once sync.Once
}

func (s *losingStore) commit(ctx context.Context, statements []statement) (int64, error) {
	s.once.Do(func() { s.way.lose.Store(true) })
	return s.store.commit(ctx, statements)
}

func TestPostgresPoolExhausted(t *testing.T) {
	l := openConfig(t, Config{DSN: pgtest.DSN(t) + "&pool_max_conns=1"})
	s := l.store.(*postgresStore)
	conn, err := s.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	patience := s.acquire
	s.acquire = 50 * time.Millisecond
	_, created, err := l.Record(t.Context(), ledgertest.New("b1"))
	s.acquire = patience
	conn.Release()
	if created || err == nil || errors.Is(err, redeem.ErrCommitUnclear) || !strings.Contains(err.Error(), "1 of 1 are in use") {
		t.Errorf("created %v, %v", created, err)
	}
	ledgertest.Record(t, l, ledgertest.New("b1"))
}

func TestPostgresWaitsForTheDisk(t *testing.T) {
	l := openConfig(t, Config{DSN: pgtest.DSN(t) + "&synchronous_commit=off"})
	var level string
	if err := l.store.(*postgresStore).pool.QueryRow(t.Context(), "SHOW synchronous_commit").Scan(&level); err != nil || level != "on" {
		t.Errorf("synchronous_commit is %s, %v", level, err)
	}
	server := pgtest.Start(t, "fsync=off")
	_, err := Open(t.Context(), Config{DSN: pgtest.Database(t, server)})
	if err == nil || !strings.Contains(err.Error(), "fsync = off") {
		t.Errorf("a server without fsync: %v", err)
	}
}

func TestPostgresSchemas(t *testing.T) {
	dsn := pgtest.DSN(t)
	a, b := openConfig(t, Config{DSN: dsn, Schema: "brand_a"}), openConfig(t, Config{DSN: dsn, Schema: "brand_b"})
	ledgertest.Record(t, a, ledgertest.New("b1"))
	ledgertest.Record(t, b, ledgertest.New("b1"))
	if _, err := Open(t.Context(), Config{DSN: dsn, Schema: `x"; drop`}); err == nil {
		t.Error("a schema that is no identifier was taken")
	}
}

func TestOpenWantsOneBackend(t *testing.T) {
	for _, c := range []Config{{}, {Path: "x", DSN: "y"}} {
		if _, err := Open(t.Context(), c); err == nil {
			t.Errorf("%+v was opened", c)
		}
	}
}
