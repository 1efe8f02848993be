// The oracle: it knows what nobody in the simulated world knows, namely every token at every
// revision of every history of the store, and the service's promises. By that it judges what is
// said and decided. It shares no code with the product's own rules of a token's life.
#ifndef TOLLGATE_TESTS_SIMULATION_ORACLE_H_
#define TOLLGATE_TESTS_SIMULATION_ORACLE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "service/use/silence.h"
#include "tests/simulation/world.h"
#include "tollgate/v1/enforcement.pb.h"
#include "tollgate/v1/validation_service.pb.h"

namespace tollgate::simulation {

// A token as of one revision.
struct TokenTruth {
  enum class End { kNone, kRevoked, kExpired };
  bool exists = false;
  std::string workspace;
  std::string owner;
  int64_t create_revision = 0;
  uint32_t create_index = 0;
  std::set<std::string> scopes;
  bool suspended = false;
  End end = End::kNone;
  int64_t expire_us = 0;  // 0: never
  int64_t retire_us = 0;
  bool given_up = false;  // a replacement that the sweep may end once it is known to be unused
  std::map<std::string, std::string> annotations;
  std::map<std::string, std::string> told;  // of these to edges, as the workspace's policy says

  bool Off() const { return suspended || end != End::kNone; }
};

// One history of a store: an epoch, or the epoch's further course after a roll-back.
class History {
 public:
  explicit History(std::string epoch) : epoch_(std::move(epoch)) {}
  // The history that begins with a copy of the store as of `revision`.
  static std::shared_ptr<History> Fork(const std::shared_ptr<History>& from, int64_t revision,
                                       std::string epoch);

  const std::string& epoch() const { return epoch_; }
  int64_t head() const { return head_; }
  const std::shared_ptr<History>& parent() const { return parent_; }
  int64_t forked_at() const { return forked_at_; }

  // A revision was committed, with `events` events.
  void OnCommit(int64_t revision, int events);
  // A token as committed by (revision, index).
  void Set(int token, int64_t revision, const TokenTruth& truth);
  // The keys of the annotations that edges are told of in a workspace, as committed by `revision`.
  void SetKeys(const std::string& workspace, int64_t revision, const std::set<std::string>& keys);
  // What edges are told of these annotations as of `revision`.
  std::map<std::string, std::string> Told(const std::string& workspace, int64_t revision,
                                          const std::map<std::string, std::string>& annotations);
  const TokenTruth& At(int token, int64_t revision) const;
  const TokenTruth& Now(int token) const { return At(token, head_); }
  // The revisions that have events, with their number of events.
  const std::map<int64_t, int>& events() const { return events_; }
  // Whether `holds` is true at some revision of [from, to].
  bool SomeRevision(int token, int64_t from, int64_t to,
                    const std::function<bool(const TokenTruth&)>& holds) const;
  const std::map<int, std::map<int64_t, TokenTruth>>& tokens() const { return tokens_; }
  // The commit of the last revision never became durable (only a mutation causes that).
  void Lose(int64_t revision);

  int64_t acknowledged = 0;  // to a client, so durable (I4)
  int64_t enforced = 0;      // declared so by some receipt
  // For each revision with a receipt: whom its latest receipt did not cover.
  std::map<int64_t, std::set<std::string>> not_covered;

 private:
  std::string epoch_;
  int64_t head_ = 0;
  std::shared_ptr<History> parent_;
  int64_t forked_at_ = 0;
  std::map<int, std::map<int64_t, TokenTruth>> tokens_;
  std::map<int64_t, int> events_;
  std::map<std::string, std::map<int64_t, std::set<std::string>>> keys_;  // by workspace
};

// One decision, with what is needed to judge it.
struct Judged {
  std::string who;  // the validator's id
  int token = 0;
  std::string scope;  // what the request needed; empty: nothing
  tollgate::v1::Verdict verdict = tollgate::v1::VERDICT_UNAVAILABLE;
  tollgate::v1::VerdictReason reason = tollgate::v1::VERDICT_REASON_UNSPECIFIED;
  bool fail_open = false;
  std::map<std::string, std::string> told;  // of an admitted token: its annotations
  bool said_goodbye = false;                // this process has said goodbye
  std::shared_ptr<History> following;       // null: no history yet
  int64_t applied = 0;
};

class Oracle {
 public:
  // `brand`: the one of the installation's token strings.
  Oracle(World* world, absl::Duration longest_lease, double drift, const std::string& brand)
      : world_(world), longest_lease_(longest_lease), drift_(drift), secret_(brand + "w_") {}

  std::shared_ptr<History> NewHistory(std::string epoch);
  void Add(const std::shared_ptr<History>& history) { histories_.push_back(history); }

  // A service on `history` gave out a receipt. True: the receipt says ENFORCED.
  bool OnReceipt(const std::shared_ptr<History>& history, const tollgate::v1::Receipt& receipt);
  // Judges one decision by I1, I2 and I7.
  void Judge(const Judged& decision);
  // An edge has admitted. Its view of the time is at most `lag` behind.
  void OnAdmitted(const Judged& decision, int64_t lag);
  // What the service had heard of a token's use when it gave out a receipt.
  struct Heard {
    int64_t since = 0;  // when this process of the service began
    std::vector<service::EdgeUseRow> rows;
    std::vector<service::SilenceEvidence::Gap> gaps;
    bool purged = false;  // the token's record, and the rows with it
  };
  // Checks that no guess is made: for each edge, the receipt of a token's revocation and the use
  // reports together tell the last admission, or the receipt says that it is unknown.
  void JudgeLastAdmits(int token, const tollgate::v1::Receipt& receipt, const Heard& heard);
  // R20: what a service tells edges of the time, when it does.
  void OnServiceTime(const std::string& service, absl::Time told);
  // R20: a token was ended in the store, by time alone.
  void OnEndedByTime(int token, const TokenTruth& truth);
  // Checks I6: no token string is in anything that is sent or stored.
  void CheckBytes(absl::string_view bytes, absl::string_view where);

 private:
  void JudgeAdmit(const Judged& decision);
  void JudgeDenial(const Judged& decision);
  std::string Tell(const Judged& decision) const;

  World* const world_;
  const absl::Duration longest_lease_;
  const double drift_;
  const std::string secret_;  // the prefix of a workspace token's string
  struct Admissions {
    int64_t last = 0;      // fail-closed
    int64_t lag = 0;       // the lag of that admission
    int64_t last_any = 0;  // fail-open or not
  };
  absl::Duration longest_doubt_lag_;  // by which a service in doubt was behind the true time
  std::map<std::pair<int, std::string>, Admissions> admissions_;  // by token and edge
  std::vector<std::shared_ptr<History>> histories_;
};

}  // namespace tollgate::simulation

#endif  // TOLLGATE_TESTS_SIMULATION_ORACLE_H_
