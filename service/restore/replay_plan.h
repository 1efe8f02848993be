// The changes that a backup does not know, read from the journal. Pure.
#ifndef TOLLGATE_SERVICE_RESTORE_REPLAY_PLAN_H_
#define TOLLGATE_SERVICE_RESTORE_REPLAY_PLAN_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/optional.h"
#include "tollgate/store/v1/journal.pb.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {

// Collects, record by record, what took permission away after a backup was made: in the backup's
// epoch the revisions above the backup's, in every later epoch all of them. Not thread-safe.
//
// Where the store went on after it was rolled back, it has other commits at the same revisions:
// those of the journal are told from them by their fingerprints, and are lost like those above its
// head.
//
// The last entry of the journal may be of a commit that never became durable. What it takes away
// is taken away all the same (somebody who may do so asked for it, and may have been told that it
// was done); what it lifts is not lifted.
class ReplayPlan {
 public:
  // The backup's fingerprint of a revision; nullopt where it keeps none.
  using FingerprintAt = std::function<absl::optional<std::string>(int64_t revision)>;
  // Of the backup. `fingerprint_at` may be empty: revisions alone tell.
  ReplayPlan(std::string epoch, int64_t head, FingerprintAt fingerprint_at = nullptr)
      : epoch_(std::move(epoch)), head_(head), fingerprint_at_(std::move(fingerprint_at)) {}

  // Finished: of one entry alone, of a commit that is perhaps lost.
  static ReplayPlan OfOneEntry(tollgate::store::v1::JournalCommit entry);

  // Takes the journal's next record.
  void Add(const tollgate::store::v1::JournalRecord& record);
  // To be called after the last record.
  void Finish();

  // One token that was changed after the backup.
  struct LostToken {
    absl::optional<tollgate::store::v1::TokenRecord> ended;    // the first end: final is final
    absl::optional<tollgate::store::v1::TokenRecord> latest;   // its latest state
    absl::optional<tollgate::store::v1::TokenRecord> perhaps;  // its state in the last entry
  };
  // By workspace and token id. Cohorts are by workspace and owner; of each the first is kept: all
  // of them cover the backup's tokens, and the one that ended a token first gives the reason.
  const std::map<std::pair<std::string, std::string>, LostToken>& tokens() const { return tokens_; }
  const std::map<std::pair<std::string, std::string>, tollgate::store::v1::CohortRecord>& cohorts()
      const {
    return cohorts_;
  }

  // One binding that was changed after the backup.
  struct LostBinding {
    absl::optional<tollgate::store::v1::BindingRecord> latest;   // its latest state
    absl::optional<tollgate::store::v1::BindingRecord> perhaps;  // its state in the last entry
  };
  // By member and role.
  const std::map<std::pair<std::string, std::string>, LostBinding>& bindings() const {
    return bindings_;
  }

  const std::string& epoch() const { return epoch_; }
  int64_t head() const { return head_; }
  // Whether the journal knows the backup's epoch at all.
  bool found_epoch() const { return found_epoch_; }
  // The journal holds every change of the backup's epoch after this revision. Above head(): the
  // revocations in between are lost.
  int64_t covers_from() const { return covers_from_; }
  // How far the journal knows the backup's epoch: the revision of its last entry or mark there.
  // Below head(): the store went on without this journal, or the journal is an old copy, so the
  // journal does not hold the revocations after the backup.
  int64_t epoch_last_revision() const { return epoch_last_revision_; }
  // The epochs whose sections come after the backup's, in their order, each once.
  const std::vector<std::string>& later_epochs() const { return later_epochs_; }
  // How far the journal goes: the last entry's or mark's revision, and the time of the last entry
  // (0: there is none).
  int64_t last_revision() const { return last_revision_; }
  int64_t last_time_us() const { return last_time_us_; }

 private:
  // The revision up to which the backup has what the journal's entry is about.
  int64_t HasUpTo(const tollgate::store::v1::JournalCommit& commit);
  void Take(const tollgate::store::v1::JournalCommit& commit, bool certain);

  const std::string epoch_;
  const int64_t head_;
  const FingerprintAt fingerprint_at_;
  int64_t common_ = 0;     // the newest revision of which it is known that both have it
  bool diverged_ = false;  // they have other commits at one revision
  std::string section_epoch_;
  std::vector<std::string> later_epochs_;
  bool found_epoch_ = false;
  bool in_later_epoch_ = false;
  int64_t covers_from_ = 0;
  int64_t epoch_last_revision_ = 0;
  int64_t last_revision_ = 0;
  int64_t last_time_us_ = 0;
  // certain once another record follows it
  absl::optional<tollgate::store::v1::JournalCommit> held_;
  std::map<std::pair<std::string, std::string>, LostToken> tokens_;
  std::map<std::pair<std::string, std::string>, tollgate::store::v1::CohortRecord> cohorts_;
  std::map<std::pair<std::string, std::string>, LostBinding> bindings_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RESTORE_REPLAY_PLAN_H_
