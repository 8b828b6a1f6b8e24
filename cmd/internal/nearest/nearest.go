// SPDX-License-Identifier: Apache-2.0

// Package nearest finds the name that was probably meant.
package nearest

// Name is the one of names that fewest letters tell from text, the first of them; empty when
// more than most do.
func Name(text string, names []string, most int) string {
	name := ""
	for _, n := range names {
		if d := Distance(text, n); d <= most {
			name, most = n, d-1
		}
	}
	return name
}

// Distance counts the bytes to put in, take out or change until a reads as b (Levenshtein's).
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
