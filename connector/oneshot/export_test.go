// SPDX-License-Identifier: Apache-2.0

package oneshot

// Idle is how many idle connections are kept of which nobody can tell yet that they are
// of no use: what the server did to the others has reached this side.
func (c *Client) Idle() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, list := range c.idle {
		for _, cn := range list {
			if cn.alive() {
				n++
			}
		}
	}
	return n
}
