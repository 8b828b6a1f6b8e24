// SPDX-License-Identifier: Apache-2.0

// Package native runs a Kubernetes of one node on a plain Linux machine, as root, without a container engine.
//
// A cluster is one process tree: a supervisor, which is the first process of a PID namespace and has a mount namespace of its own, and the
// parts of Kubernetes and the containers below it. Killing the supervisor makes the kernel end every process and drop every mount
// of the cluster, however little of it still works. All of them live in a network namespace
// that is joined to the machine by one pair of virtual Ethernet devices and to nothing else:
//
//	machine                          network namespace hexiao-NAME
//	hexiaoN 10.200.N.1 ───────────── eth0 10.200.N.2   kube-apiserver :6443, CoreDNS :53
//	  routes to 10.201.N.0/24 and      10.201.N.0/24   Pods
//	  10.202.N.0/24 by 10.200.N.2      10.202.N.0/24   Services
//
// so the API server, Pods and Services are reached from the machine, Pods reach servers of the machine that listen on 10.200.N.1, and
// no packet leaves the machine.
//
// A cluster keeps its files in one directory, which the supervisor mounts as /run in its mount namespace: inside, paths are short (those
// of sockets have to be) and the same for all clusters. /var/lib and /var/log are directories of the cluster too, and the kernel settings that a
// kubelet changes for the whole machine are hidden behind files.
package native
