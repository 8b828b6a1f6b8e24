// SPDX-License-Identifier: Apache-2.0

package books

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// record is one line of the journal file: exactly one field is set.
type record struct {
	Member *Member `json:"member,omitempty"`
	Entry  *Entry  `json:"entry,omitempty"`
	Reset  string  `json:"reset,omitempty"`
}

const (
	resetAll     = "all"
	resetEntries = "entries"
)

type journal struct{ f *os.File }

// Open returns books that are kept in the file at path, one JSON line a
// change. A last line that a crash cut short is dropped: its change was never
// acknowledged to anyone.
func Open(path string, split Split, now func() time.Time) (*Books, error) {
	_, statErr := os.Stat(path)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open books: %w", err)
	}
	b := New(split, now)
	if err := b.load(f); err != nil {
		return nil, errors.Join(fmt.Errorf("read books %s: %w", path, err), f.Close())
	}
	if errors.Is(statErr, os.ErrNotExist) {
		// The file's name must be as durable as its lines.
		if err := syncDir(filepath.Dir(path)); err != nil {
			return nil, errors.Join(fmt.Errorf("open books: %w", err), f.Close())
		}
	}
	b.journal = &journal{f: f}
	return b, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// load replays the lines of f and leaves its offset after the last whole one.
func (b *Books) load(f *os.File) error {
	r := bufio.NewReader(f)
	var good int64
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := b.replay(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		good += int64(len(line))
	}
	if err := f.Truncate(good); err != nil {
		return err
	}
	_, err := f.Seek(good, io.SeekStart)
	return err
}

func (b *Books) replay(line []byte) error {
	rec, err := decodeRecord(line)
	if err != nil {
		return err
	}
	switch {
	case rec.Member != nil:
		if err := rec.Member.validate(); err != nil {
			return err
		}
		b.put(*rec.Member)
	case rec.Entry != nil:
		if b.members[memberKey{rec.Entry.Vendor, rec.Entry.Member}] == nil {
			return fmt.Errorf("entry %d: no member %q", rec.Entry.Seq, rec.Entry.Member)
		}
		return b.apply(*rec.Entry)
	default:
		b.reset(rec.Reset)
	}
	return nil
}

func decodeRecord(line []byte) (record, error) {
	var rec record
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&rec); err != nil {
		return record{}, err
	}
	set := 0
	for _, on := range []bool{rec.Member != nil, rec.Entry != nil, rec.Reset == resetAll || rec.Reset == resetEntries} {
		if on {
			set++
		}
	}
	if set != 1 {
		return record{}, errors.New("a line must hold one of member, entry, reset")
	}
	return rec, nil
}

// write makes rec durable. After a failed write the file's state is unknown,
// so the books refuse every later change.
func (b *Books) write(rec record) error {
	if b.journal == nil {
		return nil
	}
	if b.broken != nil {
		return fmt.Errorf("books are broken by an earlier write: %w", b.broken)
	}
	line, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("encode books: %w", err)
	}
	if _, err := b.journal.f.Write(append(line, '\n')); err != nil {
		b.broken = err
		return fmt.Errorf("write books: %w", err)
	}
	if err := b.journal.f.Sync(); err != nil {
		b.broken = err
		return fmt.Errorf("sync books: %w", err)
	}
	return nil
}

// Close closes the file, if there is one.
func (b *Books) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.journal == nil || errors.Is(b.broken, os.ErrClosed) {
		return nil
	}
	err := b.journal.f.Close()
	b.broken = os.ErrClosed
	return err
}
