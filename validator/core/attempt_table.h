// The attempts that this edge refused on tokens that the service knows, counted where they are
// decided, and from where they came, where that is asked for.
#ifndef TOLLGATE_VALIDATOR_CORE_ATTEMPT_TABLE_H_
#define TOLLGATE_VALIDATOR_CORE_ATTEMPT_TABLE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/ip_address.h"
#include "tollgate/v1/validation_service.pb.h"

namespace tollgate::validator {

// The most addresses that are told of one token and reason.
inline constexpr size_t kMostAttemptAddresses = 4;

// From where attempts came.
struct AttemptsFrom {
  base::IpAddress address;
  int64_t last_ms = 0;  // service wall clock
  int64_t count = 0;
};

// Attempts on one token that were refused for one reason.
struct TokenAttempts {
  std::string workspace;
  std::string token_id;
  tollgate::v1::VerdictReason reason = tollgate::v1::VERDICT_REASON_UNSPECIFIED;
  int64_t first_ms = 0;  // service wall clock
  int64_t last_ms = 0;
  int64_t count = 0;
  // From where, as far as that was told and asked for; latest first, at most kMostAttemptAddresses.
  std::vector<AttemptsFrom> from;
};

// Merges addresses into others; the latest stay.
void MergeAttemptsFrom(const std::vector<AttemptsFrom>& more, std::vector<AttemptsFrom>* from);

// Bounded: one flat table of fixed slots, each for one (token, reason). What finds no slot is left
// out, and counted. Whoever holds a dead token can ask as often as he likes, so counting an attempt
// takes no lock, allocates nothing and makes no system call.
//
// Addresses lie in slots of their own, so that whoever asks from many takes no place from other
// tokens' attempts. Those of one token and reason share a set of 8 slots, where a new address takes
// the place of the one that was seen longest ago.
//
// A slot's word holds its generation, its state and its count. A count is added by one exchange of
// the word, which fails where the slot has a new tenant, so no attempt is ever counted for another
// token. The name and the times are written with release and read with acquire (TSan knows no
// fences).
class AttemptTable {
 public:
  // `slots` is rounded up to a power of two, at least 8. 128 B each, and as much again for
  // addresses.
  explicit AttemptTable(size_t slots = 2048);

  // Counts one attempt at `service_ms` of the service's time, with the address that it came from;
  // none: not told, or not asked for. Thread-safe.
  void Add(absl::string_view workspace, absl::string_view token_id,
           tollgate::v1::VerdictReason reason, int64_t service_ms,
           const base::IpAddress& from = base::IpAddress());
  // Hands out what was counted since the last collection; one (token, reason) may come in two
  // parts. Frees the slots that nothing was counted in. One caller at a time, beside any number of
  // Adds.
  void Collect(std::vector<TokenAttempts>* out);
  // Forgets the addresses of a workspace's attempts; of all, where it is empty. An attempt that is
  // being counted may still leave its own. As Collect, one caller at a time.
  void ForgetAddresses(absl::string_view workspace);
  // Attempts that found no slot.
  int64_t left_out() const { return left_out_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kWays = 8;
  // Reason, length of the workspace, token id, workspace; then the address, or zero.
  static constexpr size_t kTokenWords = 11;
  static constexpr size_t kNameWords = kTokenWords + base::IpAddress::kBytes / sizeof(uint64_t);
  using Name = std::array<uint64_t, kNameWords>;
  struct alignas(128) Slot {
    std::atomic<uint64_t> word{0};
    // Each with the low bits of the generation, so that a late writer changes no new tenant's.
    std::atomic<uint64_t> first{0};
    std::atomic<uint64_t> last{0};
    std::array<std::atomic<uint64_t>, kNameWords> name{};
  };
  // False: no such name fits.
  static bool Pack(absl::string_view workspace, absl::string_view token_id,
                   tollgate::v1::VerdictReason reason, Name* name);
  static void Unpack(const Name& name, TokenAttempts* attempts);
  static Name NameOf(const Slot& slot);
  static bool Holds(const Slot& slot, const Name& name);
  // Counts in the slot, which was seen with `word` and this name. False: it has another tenant now.
  static bool Count(Slot& slot, uint64_t word, int64_t service_ms);
  // Takes the slot, which was seen with `word`. False: somebody else was quicker.
  static bool Claim(Slot& slot, uint64_t word, const Name& name, int64_t service_ms);
  // Counts in the set of this name. False: no slot is empty. With `evicts` the slot that was
  // counted in longest ago is taken then.
  static bool AddTo(absl::Span<Slot> set, const Name& name, int64_t service_ms, bool evicts);
  // Takes what was counted in the slot out of it, with its name; frees it where that is nothing.
  // False: nothing.
  static bool TakeFrom(Slot& slot, Name* name, TokenAttempts* attempts);
  absl::Span<Slot> SetOf(const Name& name, const std::unique_ptr<Slot[]>& slots) const;

  const size_t sets_;  // a power of two; of each
  const std::unique_ptr<Slot[]> slots_;
  const std::unique_ptr<Slot[]> addresses_;
  std::atomic<int64_t> left_out_{0};
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_ATTEMPT_TABLE_H_
