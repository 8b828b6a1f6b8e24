// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"syscall"
)

// Magic numbers of statfs(2).
const (
	magicFUSE = 0x65735546
)

// remote are file systems on which locks or fsync do not mean what SQLite needs: a write that was acknowledged may be lost, and two nodes may write at once.
var remote = map[uint32]string{
	0x6969: "NFS", 0x517B: "SMB", 0xFF534D42: "CIFS", 0xFE534D42: "SMB2", 0x5346414F: "AFS", 0x6B414653: "AFS", 0x00C36400: "CephFS", 0x0BD00BD0: "Lustre",
	0x47504653: "GPFS", 0x01021997: "9P", 0x73757245: "Coda", 0x564C: "NCP", 0x786F4256: "VirtualBox shared folder", 0x7461636F: "OCFS2", 0x01161970: "GFS2",
	0x19830326: "BeeGFS",
}

func checkFileSystem(dir string, allowFUSE bool) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return fmt.Errorf("file system of %s: %w", dir, err)
	}
	return judgeFileSystem(dir, uint32(st.Type), allowFUSE)
}

func judgeFileSystem(dir string, magic uint32, allowFUSE bool) error {
	if name, bad := remote[magic]; bad {
		return fmt.Errorf("%s is on %s: SQLite is not durable on a network file system; use a local or block volume, or PostgreSQL", dir, name)
	}
	if magic == magicFUSE && !allowFUSE {
		return fmt.Errorf("%s is on FUSE: whether it keeps what was synced is unknown; use a block volume or PostgreSQL, or allow FUSE if you know that it does", dir)
	}
	return nil
}
