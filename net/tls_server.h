// A server's TLS that OpenSSL speaks, not gRPC, and that follows its files.
#ifndef TOLLGATE_NET_TLS_SERVER_H_
#define TOLLGATE_NET_TLS_SERVER_H_

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX

namespace tollgate::net {

struct TlsFiles;  // net/tls_files.h

// OpenSSL's settings out of these files. Errors (INVALID_ARGUMENT or FAILED_PRECONDITION, reason
// TLS_FILES_INVALID): a certificate without a key or the reverse; a file that is missing,
// unreadable or not PEM; a key that does not match the certificate.
absl::StatusOr<std::shared_ptr<ssl_ctx_st>> LoadTlsFiles(const TlsFiles& files);

// 1.2 and 1.3, HTTP/1.1 alone, and a client certificate required where `ca` is given. It looks at
// the files from time to time. What is new is used for connections from then on, all or nothing:
// files that are no good leave what is in force, and are told of in the log. Thread-safe.
class TlsServer {
 public:
  struct Stats {
    bool ok = true;                  // what is in force is what the files say
    absl::Time certificate_expires;  // of the leaf in force
  };

  // Looks every `look_interval`; a change is read once it has stayed the same for as long. Errors:
  // LoadTlsFiles's, also where no certificate is given; RESOURCE_EXHAUSTED, TOO_FEW_THREADS.
  static absl::StatusOr<std::shared_ptr<const TlsServer>> Open(
      const TlsFiles& files, absl::Duration look_interval = absl::Milliseconds(500));
  // Looks no more.
  ~TlsServer();
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  // What the next connection is to use. Never null.
  std::shared_ptr<ssl_ctx_st> Current() const ABSL_LOCKS_EXCLUDED(mu_);
  Stats stats() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // What tells one state of the files from another; 0: not there.
  using Version = std::vector<int64_t>;

  TlsServer(const TlsFiles& files, absl::Duration look_interval);
  Version Look() const;
  absl::StatusOr<std::shared_ptr<ssl_ctx_st>> Load() const;
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  void Take(absl::StatusOr<std::shared_ptr<ssl_ctx_st>> loaded) ABSL_LOCKS_EXCLUDED(mu_);

  const std::unique_ptr<const TlsFiles> files_;
  const absl::Duration look_interval_;

  mutable absl::Mutex mu_;
  std::shared_ptr<ssl_ctx_st> current_ ABSL_GUARDED_BY(mu_);
  Stats stats_ ABSL_GUARDED_BY(mu_);

  // Timed waits are on the steady clock: absl's follow the wall clock. wake_mu_ guards stopped_.
  std::mutex wake_mu_;
  std::condition_variable wake_;
  bool stopped_ = false;

  // The thread's own.
  Version read_;
  std::string told_;  // of what is wrong with the files; empty: nothing
  std::thread thread_;
};

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_TLS_SERVER_H_
