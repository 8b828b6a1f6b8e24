// SPDX-License-Identifier: Apache-2.0

package main

// row is a fault.
type row struct {
	name string
	// only says for which columns the row makes sense; nil: all.
	only func(column) bool
	// with changes the usual options.
	with func(column, *options)
	// run lets the fault happen; see world.
	run func(*world)
	// long names a run that has the machine for itself: load, crash-loop.
	long string
}

func (r row) options(c column) options {
	o := options{}
	if r.with != nil {
		r.with(c, &o)
	}
	return o
}

// rows are the matrix.
func rows() []row {
	return []row{
		{name: "kill: after the record, before the send", run: killAt("record.after")},
	}
}

// killAt kills the connector at a point of its first payment.
func killAt(point string) func(*world) {
	return func(w *world) {
		w.start("kill@" + point)
		w.send(w.sale())
		w.awaitDeath()
	}
}
