// The tokens that something is held open by: found by id, by workspace, and by when they end.
#ifndef TOLLGATE_VALIDATOR_CORE_HELD_TOKENS_H_
#define TOLLGATE_VALIDATOR_CORE_HELD_TOKENS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "token/digest.h"
#include "token/grant.h"
#include "validator/core/decision_cache.h"
#include "validator/core/hold_receipts.h"

namespace tollgate::validator {

struct Hold;  // hold_table.cc
struct HeldToken;

// The tokens of each workspace, in the order in which they came.
using HeldWorkspaces = std::map<std::string, std::list<HeldToken*>, std::less<>>;

struct HeldToken {
  token::GrantView view() const;
  absl::string_view workspace() const { return home->first; }

  TokenKey key;
  token::EdgeDigest digest;
  std::string grant;  // packed: as of the last answer

  // The table's (hold_table.h).
  Hold* first = nullptr;  // of its holds
  size_t holds = 0;
  bool queued = false;          // for a question
  uint64_t doubt = 0;           // the last event that may be about it; 0: not in doubt
  uint64_t since = 0;           // the first of them
  HoldReceipts::Doubts doubts;  // while in doubt: the revisions of these events
  // The same, for the holds that have ended since the last of them; null: none has.
  std::shared_ptr<const HoldReceipts::Doubts> told;

  // HeldTokens' own.
  uint64_t number = 0;  // as they came
  int64_t ends_us = 0;  // service time; 0: never, or it has come
  HeldWorkspaces::value_type* home = nullptr;
  std::list<HeldToken*>::iterator at_home;
  std::list<HeldToken*>::iterator turn;
};

// Whatever goes over several of them goes in an order that no address decides: the same calls have
// the same effects in every process. Not thread-safe.
class HeldTokens {
 public:
  // Null: nothing is held open by it.
  HeldToken* Find(absl::string_view token_id) const;
  // A token that was not there; it has no grant yet.
  HeldToken* Add(const TokenKey& key, const token::EdgeDigest& digest);
  void SetGrant(HeldToken* token, absl::string_view packed);
  void Remove(HeldToken* token);
  bool empty() const { return by_id_.empty(); }

  // Removes nothing; `visit` may not either.
  void ForEach(const std::function<void(HeldToken*)>& visit) const;
  void ForEachIn(absl::string_view workspace, const std::function<void(HeldToken*)>& visit) const;
  // When the next token ends, in microseconds of service time.
  absl::optional<int64_t> next_end_us() const;
  // A token whose end has come by then; each is given once a grant. Null: none.
  HeldToken* TakeEnded(int64_t service_us);
  // The token whose turn was longest ago, or that was added then; it has the last turn from here
  // on. There is one.
  HeldToken* NextInTurn();
  size_t size() const { return by_id_.size(); }

 private:
  void SetEnd(HeldToken* token, int64_t ends_us);
  void LeaveHome(HeldToken* token);

  absl::flat_hash_map<absl::string_view, std::unique_ptr<HeldToken>>
      by_id_;  // which lies in the key
  HeldWorkspaces workspaces_;
  std::map<std::pair<int64_t, uint64_t>, HeldToken*> by_end_;  // by end, then number
  uint64_t last_number_ = 0;
  std::list<HeldToken*> turns_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_HELD_TOKENS_H_
