// SPDX-License-Identifier: Apache-2.0

// Command hello answers each request with its host's name, its user and the local time of a zone: a program to try an
// image and a cluster with. Its version is that of the image.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

var version = "unset"

func main() {
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		log.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%s version=%s uid=%d %s\n", host, version, os.Getuid(), time.Now().In(zone).Format("-07:00"))
	})
	log.Fatal((&http.Server{Addr: ":8080", ReadHeaderTimeout: time.Second}).ListenAndServe())
}
