// The one place where connections are accepted.
//
// gRPC 1.51's own listener stops accepting for good once the process has run out of descriptors
// (CVE-2023-4785), and has no peer uid, no cap on connections and no rate limit. Every listener,
// gRPC's and HTTP's alike, therefore goes through an Acceptor: a socket, a thread, and a handler
// that gets each connection that passed.
//
// Out of descriptors: the acceptor holds a spare descriptor. On EMFILE or ENFILE it closes the
// spare, accepts, closes the accepted connection (the peer sees an end, and retries) and opens the
// spare again. So the backlog never fills with connections that nobody will answer, and accepting
// goes on by itself as soon as descriptors are free.
//
// The cap: a connection is counted until its descriptor is closed, by whoever owns it then. Since
// gRPC does not tell, the acceptor remembers (descriptor, socket inode) of what it handed out and
// sweeps: a descriptor that is closed, or is another inode by now, has ended. A sweep is one fstat
// a connection; it runs once a second, and sooner when the cap is reached (at most every 20 ms).
// So the handler must not dup() the descriptor and close the original.
//
// A Unix socket's file may be removed by others (a cleaner of /tmp, a redeployed volume), and then
// nobody finds the listener any more. Once a second the acceptor looks: it makes the file anew
// where nothing is in its place, and else tells.
#ifndef TOLLGATE_NET_ACCEPTOR_H_
#define TOLLGATE_NET_ACCEPTOR_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "net/address.h"

namespace tollgate::net {

// An accepted connection. `fd` is non-blocking and close-on-exec, and belongs to the handler.
struct AcceptedConnection {
  int fd = -1;
  // Unix sockets only, from SO_PEERCRED: who connected, as of that moment.
  absl::optional<uid_t> uid;
  absl::optional<pid_t> pid;
};

class Acceptor {
 public:
  struct Options {
    Address address;
    // The most connections alive at once; a connection above it is closed as soon as it is
    // accepted. 0: what the limit on open files allows, less 256 kept for the rest of the process,
    // divided by `share_of`, and never above 16384.
    int max_connections = 0;
    // How many acceptors share the process's limit.
    int share_of = 1;
    // Accepts a second, with a burst of the same number; connections above it wait in the backlog.
    // 0: no limit.
    double max_accepts_per_second = 0;
    // Unix sockets: only these uids may connect. Unset: the socket's mode alone decides.
    absl::optional<std::vector<uid_t>> allowed_uids;
    // Unix sockets: the mode of the socket file. The file never has a wider mode, not even for a
    // moment.
    mode_t socket_mode = 0660;
    int backlog = 512;
  };

  // Counters since Bind; each is read on its own.
  struct Stats {
    uint64_t accepted = 0;             // handed to the handler
    uint64_t refused_full = 0;         // closed: the cap was reached
    uint64_t refused_uid = 0;          // closed: not an allowed uid
    uint64_t refused_descriptors = 0;  // closed: the process was out of descriptors
    uint64_t accept_errors = 0;        // any other failure of accept
    int64_t connections = 0;           // alive at the last sweep
  };

  using Handler = std::function<void(AcceptedConnection)>;

  // Binds and listens: peers may connect from now on, and wait until Start. Replaces the file of a
  // Unix socket on which nobody answers. Errors:
  //   ALREADY_EXISTS, ADDRESS_IN_USE: another process listens there, or the path is not a socket;
  //   INVALID_ARGUMENT, ADDRESS_INVALID: the host does not resolve;
  //   PERMISSION_DENIED, ADDRESS_DENIED: this process may not use the port or directory;
  //   UNAVAILABLE, ADDRESS_UNAVAILABLE: anything else.
  static absl::StatusOr<std::unique_ptr<Acceptor>> Bind(Options options);
  // Bind, then Start; the errors of both.
  static absl::StatusOr<std::unique_ptr<Acceptor>> Start(Options options, Handler handler);

  // Stop()s.
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Begins to accept. Call once. `handler` runs on the acceptor's thread and must not block.
  // RESOURCE_EXHAUSTED, TOO_FEW_THREADS.
  absl::Status Start(Handler handler);

  // Closes the listening socket, removes the Unix socket's file if it is still this acceptor's, and
  // joins the thread: no handler runs afterwards. Connections handed out live on. Idempotent. Must
  // not be called in the handler.
  void Stop();

  // The port in use (the kernel's choice when 0 was asked for); 0 for a Unix socket. Constant.
  uint16_t port() const { return address_.port; }
  // The address in use, with the real port. Constant.
  const Address& address() const { return address_; }
  // The cap in force. Constant.
  int max_connections() const { return max_connections_; }
  // Thread-safe.
  Stats stats() const;
  // Counts the connections alive now, and returns it. Thread-safe.
  int64_t SweepConnections();

 private:
  Acceptor(Options options, Address address, int listen_fd, int wake_fd, int max_connections);

  void Loop();
  // Accepts until the backlog is empty, a budget is spent, or it must wait; returns how long to
  // wait.
  absl::Duration AcceptSome();
  void HandOut(int fd);
  // Looks after the Unix socket's file.
  void KeepFile();
  bool FileIsOurs() const;
  void NoteFile();
  void ShedOne();
  bool PeerAllowed(int fd, AcceptedConnection* connection) const;
  bool HasRoom();
  int64_t SweepLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Options options_;
  const Address address_;
  const int max_connections_;
  int listen_fd_;
  int wake_fd_;
  // Given up, one at a time, to close what cannot be accepted for want of descriptors. Several,
  // because another thread may take the one that was just closed, and keep it. The loop's alone.
  std::vector<int> spares_;
  // Of the socket file that this acceptor made, so that Stop removes no other file.
  uint64_t socket_file_device_ = 0;
  uint64_t socket_file_inode_ = 0;
  Handler handler_;

  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> accepted_{0};
  std::atomic<uint64_t> refused_full_{0};
  std::atomic<uint64_t> refused_uid_{0};
  std::atomic<uint64_t> refused_descriptors_{0};
  std::atomic<uint64_t> accept_errors_{0};
  std::atomic<int64_t> connections_{0};

  // Used by the acceptor's thread only.
  double accept_tokens_ = 0;
  absl::Time tokens_at_;
  absl::Time last_exhausted_log_;
  absl::Time last_full_log_;
  bool file_lost_ = false;  // and told

  absl::Mutex mu_;
  std::unordered_map<int, uint64_t> alive_ ABSL_GUARDED_BY(mu_);  // descriptor -> socket inode
  absl::Time swept_at_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();

  std::thread thread_;
};

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_ACCEPTOR_H_
