// Package suite runs the tests that containerd has for its own snapshotters on this one, through its own
// client of proxy plugins. scripts/test-containerd calls it; containerd's sources are Debian's package.
package suite

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	api "github.com/containerd/containerd/api/services/snapshots/v1"
	// Registers the flag by which the suite lets root's tests run.
	"github.com/containerd/containerd/pkg/testutil"
	"github.com/containerd/containerd/snapshots"
	"github.com/containerd/containerd/snapshots/proxy"
	"github.com/containerd/containerd/snapshots/testsuite"
	"google.golang.org/grpc"
)

// start serves root by a process of its own until the function that it returns is called.
func start(ctx context.Context, root string) (snapshots.Snapshotter, func() error, error) {
	folder, err := os.MkdirTemp("", "s")
	if err != nil {
		return nil, nil, err
	}
	ready := filepath.Join(folder, "n")
	notes, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: ready, Net: "unixgram"})
	if err != nil {
		return nil, nil, err
	}
	defer notes.Close()
	address := filepath.Join(folder, "s")
	server := exec.Command(os.Getenv("SNAPSHOTTER"), "--root", root, "--address", address,
		"--mount-program", os.Getenv("MOUNT_PROGRAM"))
	server.Env = append(os.Environ(), "NOTIFY_SOCKET="+ready)
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		return nil, nil, err
	}
	if err := notes.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return nil, nil, err
	}
	buffer := make([]byte, 64)
	if count, err := notes.Read(buffer); err != nil || string(buffer[:count]) != "READY=1" {
		server.Process.Kill()
		return nil, nil, fmt.Errorf("not ready: %q, %v", buffer, err)
	}
	connection, err := grpc.Dial("unix://"+address, grpc.WithInsecure())
	if err != nil {
		return nil, nil, err
	}
	stop := func() error {
		connection.Close()
		server.Process.Signal(syscall.SIGTERM)
		if err := server.Wait(); err != nil {
			return err
		}
		// What is left in it is left over.
		os.Remove(ready)
		return os.Remove(folder)
	}
	return proxy.NewSnapshotter(api.NewSnapshotsClient(connection), "unionfs-swift"), stop, nil
}

func TestSnapshotter(t *testing.T) {
	testutil.RequiresRoot(t)
	testsuite.SnapshotterSuite(t, "unionfs-swift", start)
}
