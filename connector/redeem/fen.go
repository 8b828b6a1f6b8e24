// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"errors"
	"fmt"

	"github.com/shopspring/decimal"
)

// Fen is an amount of money in fen, a hundredth of a yuan. It is the only
// representation of money inside the connector; yuan exist at the border of a
// vendor that speaks them, as text.
type Fen int64

// MaxFen bounds a single amount: one million yuan. A till never redeems more in
// one call, and the bound keeps every sum of a request far from overflow.
const MaxFen Fen = 100_000_000

// ErrAmount is wrapped by every failure to read an amount.
var ErrAmount = errors.New("not an amount of money")

var hundred = decimal.NewFromInt(100)

// Yuan renders f as decimal yuan with exactly two places, the form that Zhimai's
// `amount` takes: 1000 fen → "10.00".
func (f Fen) Yuan() string {
	return decimal.New(int64(f), -2).StringFixed(2)
}

// ParseYuan reads decimal yuan ("10", "10.5", "-0.01"). More than two places that
// are not zero, exponents out of range, and amounts that do not fit int64 fen are
// errors: money is never rounded.
func ParseYuan(s string) (Fen, error) {
	if len(s) == 0 || len(s) > 24 {
		return 0, fmt.Errorf("yuan %q: %w", clip(s), ErrAmount)
	}
	for _, c := range s {
		if (c < '0' || c > '9') && c != '.' && c != '-' {
			return 0, fmt.Errorf("yuan %q: %w", clip(s), ErrAmount)
		}
	}
	d, err := decimal.NewFromString(s)
	if err != nil {
		return 0, fmt.Errorf("yuan %q: %w", clip(s), ErrAmount)
	}
	fen := d.Mul(hundred)
	if !fen.IsInteger() || !fen.BigInt().IsInt64() {
		return 0, fmt.Errorf("yuan %q has parts of a fen or does not fit: %w", clip(s), ErrAmount)
	}
	return Fen(fen.IntPart()), nil
}

func clip(s string) string {
	if len(s) > 24 {
		return s[:24] + "…"
	}
	return s
}
