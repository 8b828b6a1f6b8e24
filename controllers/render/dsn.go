// SPDX-License-Identifier: Apache-2.0

package render

import (
	"net/url"
	"strings"
)

const portPostgres = 5432

// dsnDestinations are the servers that a connection URI of PostgreSQL names: a ledger that
// fails over has several, postgres://u:p@first:6432,second/ledger. Hosts and ports may stand
// in the query as well. Of what cannot be read remains PostgreSQL's own port. There is no error: it
// would repeat the URI, which holds a password.
func dsnDestinations(dsn string) []destination {
	hosts, ports := dsnServers(strings.TrimSpace(dsn))
	var found []destination
	for i, host := range hosts {
		if strings.HasPrefix(host, "/") {
			continue // a socket of the Pod's own
		}
		port := ports[0]
		if len(ports) > 1 && i < len(ports) {
			port = ports[i]
		}
		found = append(found, destination{host: host, port: portOr(port, portPostgres)})
	}
	return found
}

// dsnServers are the hosts, at least one, and as many ports, or one port that is for all.
func dsnServers(dsn string) (hosts, ports []string) {
	_, rest, _ := strings.Cut(dsn, "://")
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	authority, _, _ := strings.Cut(rest, "/")
	authority = authority[strings.LastIndex(authority, "@")+1:]
	for server := range strings.SplitSeq(authority, ",") {
		host, port := "", ""
		if u, err := url.Parse("postgres://" + server); err == nil {
			host, port = u.Hostname(), u.Port()
		}
		hosts, ports = append(hosts, host), append(ports, port)
	}
	settings, err := url.ParseQuery(query)
	if err != nil {
		return hosts, ports
	}
	if named := settings.Get("host"); named != "" {
		hosts = strings.Split(named, ",")
	}
	if named := settings.Get("port"); named != "" {
		ports = strings.Split(named, ",")
	}
	return hosts, ports
}
