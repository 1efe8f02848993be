// The policy in force: what its file says, read again when the file changes.
#ifndef TOLLGATE_VALIDATOR_SHELLS_POLICY_FILE_H_
#define TOLLGATE_VALIDATOR_SHELLS_POLICY_FILE_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "policy/policy.h"
#include "validator/fronts/gate.h"

namespace tollgate::validator {

// Looks at the file twice a second, through symbolic links (Kubernetes swaps one to change a
// ConfigMap), and reads it once it has stayed the same from one look to the next, so that a file
// that is still being written is not read. All or nothing: a file that cannot be read, or is no
// policy, changes nothing, and is told of once. All reading is done by a thread of its own.
// Thread-safe.
class PolicyFile final : public PolicySource {
 public:
  struct Options {
    std::string path;
    // How a text is read; the name stands in errors.
    std::function<absl::StatusOr<std::shared_ptr<const policy::Policy>>(absl::string_view text,
                                                                        absl::string_view name)>
        parse;
    const base::Clock* clock = &base::SystemClock();
    absl::Duration look_interval = absl::Milliseconds(500);
  };
  struct Stats {
    bool ok = true;  // what is in force is what the file said when it was read last
    std::string fingerprint;
    int64_t loads = 0;     // that took force, the first included
    int64_t failures = 0;  // that changed nothing
    absl::Time loaded;     // when that took force, by the wall clock
  };
  static constexpr size_t kMostBytes = 1 << 20;

  // Reads the file. INVALID_ARGUMENT: POLICY_UNREADABLE; the errors of `parse`.
  static absl::StatusOr<std::unique_ptr<PolicyFile>> Open(Options options);
  // Stop()s.
  ~PolicyFile() override;
  PolicyFile(const PolicyFile&) = delete;
  PolicyFile& operator=(const PolicyFile&) = delete;

  // Begins to look. `tell` is called on the thread that does, with Stats::ok, after each reading.
  // Call once. RESOURCE_EXHAUSTED, TOO_FEW_THREADS.
  absl::Status Watch(std::function<void(bool ok)> tell);
  // Reads the file soon, whether it has changed or not. Never blocks.
  void Reload();
  // Ends the looking; the policy stays. Idempotent.
  void Stop();

  std::shared_ptr<const policy::Policy> Current() const override;
  Stats stats() const;

 private:
  // Which version of a file this is, as far as the kernel tells.
  struct Version {
    bool there = false;
    uint64_t device = 0;
    uint64_t inode = 0;
    int64_t size = 0;
    int64_t modified_ns = 0;
    int64_t changed_ns = 0;
    friend bool operator==(const Version&, const Version&) = default;
  };
  using Loaded = absl::StatusOr<std::shared_ptr<const policy::Policy>>;

  explicit PolicyFile(Options options) : options_(std::move(options)) {}
  void Run();
  Version Look() const;
  // Reads and parses. `*version`: of what was read. `*whole`: it did not change meanwhile.
  Loaded Load(Version* version, bool* whole) const;
  // Puts it in force, or tells why not.
  void Take(Loaded loaded);

  const Options options_;
  std::function<void(bool ok)> tell_;

  // Of the version that was read last; the thread's, once it runs.
  Version read_;

  mutable absl::Mutex mu_;
  std::shared_ptr<const policy::Policy> current_ ABSL_GUARDED_BY(mu_);
  Stats stats_ ABSL_GUARDED_BY(mu_);

  std::mutex wake_mu_;  // guards the two below; its waits are on the steady clock
  std::condition_variable wake_;
  bool asked_ = false;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_SHELLS_POLICY_FILE_H_
