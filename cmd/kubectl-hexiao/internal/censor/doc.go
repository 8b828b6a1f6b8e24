// SPDX-License-Identifier: Apache-2.0

// Package censor takes secrets and personal data out of what leaves a cluster in a
// support bundle. It works in three ways, one over the other:
//
//   - By value. Learn is told the Secrets that can be read. Wherever one of their values
//     stands afterwards, in a log line, an annotation, an event, it is masked: as it is,
//     in base64 at any alignment, in hexadecimal, and escaped for JSON, YAML or a URL.
//     Parts that are secrets of their own are learnt, too: the password of a DSN, the
//     strings of a JSON value, the lines of a key.
//   - By structure. Object knows where Kubernetes objects hold values: environment
//     variables, Secrets, annotations that repeat an object, fields with telling names.
//   - By form. Text knows how secrets look that nobody told it of: Authorization headers,
//     tokens, passwords in URLs, signatures, private keys, mobile numbers.
//
// The last way is a net with holes. Who may not read the Secrets has it alone, and
// the bundle then says so.
package censor
