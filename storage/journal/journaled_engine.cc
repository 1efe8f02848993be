#include "storage/journal/journaled_engine.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "base/invariant.h"
#include "base/status.h"
#include "storage/embedded_engine.h"
#include "storage/schema.h"
#include "storage/tombstone.h"
#include "storage/whole_table.h"

namespace tollgate::storage {
namespace {

using store::v1::BindingRecord;
using store::v1::CohortRecord;
using store::v1::DigestRecord;
using store::v1::EventsRecord;
using store::v1::HeadRecord;
using store::v1::JournalCommit;
using store::v1::JournalRecord;
using store::v1::JournalSection;
using store::v1::MetaRecord;
using store::v1::TokenRecord;

constexpr size_t kAtATime = 1000;

// The part of a record that bears on permission: no digest, and no words.
TokenRecord ForJournal(const TokenRecord& record) {
  TokenRecord kept = record;
  kept.clear_stored_digest();
  kept.clear_pepper_id();
  kept.clear_label();
  kept.clear_annotations();
  kept.clear_creator();
  return kept;
}

// Whether there is nothing to journal.
bool IsEmpty(const JournalCommit& entry) {
  return entry.tokens_size() + entry.cohorts_size() + entry.bindings_size() == 0;
}

absl::Status RolledBack(const std::string& path, absl::string_view why) {
  return base::Refuse(
      absl::StatusCode::kFailedPrecondition, "STORE_ROLLED_BACK",
      absl::StrCat("the store is older than its journal ", path, ": ", why,
                   ". It was rolled back, or is an old copy; serving it would bring back "
                   "what was revoked since.\n"
                   "  Replay the journal and begin anew:  "
                   "tollgated new-epoch --store DIR"));
}

// What reading the journal has found.
struct Found {
  JournalSection section;  // the last one
  std::set<std::string> older_epochs;
  int64_t confirmed = 0;                          // of the last section: durable for sure
  absl::optional<JournalCommit> confirmed_entry;  // the newest one that was durable for sure
  absl::optional<JournalCommit> last;  // the last record, where it is an entry: perhaps not durable
  int64_t last_offset = 0;

  absl::Status Add(const JournalRecord& record, int64_t offset) {
    // An entry is begun once the one before it was committed, unless it says otherwise.
    if (last.has_value() && !record.commit().replaces_last()) {
      confirmed = std::max(confirmed, last->revision());
      confirmed_entry = std::move(last);
    }
    last.reset();
    switch (record.content_case()) {
      case JournalRecord::kSection:
        if (!section.epoch().empty()) older_epochs.insert(section.epoch());
        section = record.section();
        confirmed = section.from_revision();
        confirmed_entry.reset();
        break;
      case JournalRecord::kCommit:
        last = record.commit();
        last_offset = offset;
        break;
      case JournalRecord::kMark:
        confirmed = std::max(confirmed, record.mark().revision());
        break;
      default:
        break;
    }
    return absl::OkStatus();
  }
};

// Whether the entry's commit is in the store: told by revision and fingerprint, since the records
// may have been changed or forgotten since. Where there is no fingerprint to compare, the revision
// alone tells.
absl::StatusOr<bool> IsInStore(const View& view, const JournalCommit& entry, int64_t head) {
  if (entry.revision() > head) return false;
  if (entry.fingerprint().empty()) return true;
  ASSIGN_OR_RETURN(const absl::optional<std::string> kept, FingerprintAt(view, entry.revision()));
  return !kept.has_value() || *kept == entry.fingerprint();
}

bool ChangedAfter(const TokenRecord& record, int64_t revision) {
  return record.update_revision() > revision &&
         (record.update_revision() != record.create_revision() || record.has_ending() ||
          record.suspended());
}

// Finds the commits after `after` that have no entry, and gives their changes in parts.
class Missed {
 public:
  Missed(const View& view, int64_t after, std::function<absl::Status(JournalCommit)> give)
      : view_(view), after_(after), give_(std::move(give)) {}

  absl::Status Find(const HeadRecord& head) {
    part_.set_revision(head.revision());
    part_.set_time_us(head.time_us());
    part_.set_fingerprint(head.fingerprint());
    RETURN_IF_ERROR(head.compacted_revision() <= after_ ? FromEvents() : FromTokens());
    return IsEmpty(part_) ? absl::OkStatus() : give_(part_);
  }

 private:
  // Every change that takes permission away has an event (a change without one bears on no
  // permission).
  absl::Status FromEvents() {
    std::string from = RevisionKey(after_ + 1);
    while (true) {
      ASSIGN_OR_RETURN(const std::vector<Entry> entries,
                       view_.Scan(Table::kEvents, from, "", kAtATime));
      for (const Entry& entry : entries) {
        EventsRecord record;
        if (!record.ParseFromString(entry.value)) {
          return absl::DataLossError("a record of events cannot be parsed");
        }
        for (const tollgate::v1::Event& event : record.events().events()) {
          if (event.has_token_changed()) {
            ASSIGN_OR_RETURN(const auto token,
                             GetRecord<TokenRecord>(view_, Table::kTokens,
                                                    TokenKey(event.token_changed().workspace(),
                                                             event.token_changed().token_id())));
            purged_ = purged_ || !token.has_value();
            if (token.has_value()) RETURN_IF_ERROR(AddToken(*token));
          } else if (event.has_cohort_revoked()) {
            ASSIGN_OR_RETURN(const auto cohort,
                             GetRecord<CohortRecord>(view_, Table::kCohorts,
                                                     CohortKey(event.cohort_revoked().workspace(),
                                                               event.cohort_revoked().owner())));
            if (cohort.has_value()) RETURN_IF_ERROR(AddCohort(*cohort));
          } else if (event.has_access_changed()) {
            access_changed_ = true;
          }
        }
      }
      if (entries.size() < kAtATime) break;
      from = KeyAfter(entries.back().key);
    }
    if (purged_) RETURN_IF_ERROR(FromTombstones());
    return access_changed_ ? FromBindings() : absl::OkStatus();
  }

  absl::Status FromBindings() {
    return ForEachRecord<BindingRecord>(
        view_, Table::kBindings,
        [this](const BindingRecord& binding) { return AddBinding(binding); });
  }

  // The records of some are purged, and what is left of those lies under their digests.
  absl::Status FromTombstones() {
    return ForEachRecord<DigestRecord>(view_, Table::kDigests, [this](const DigestRecord& digest) {
      // Nothing that ForJournal keeps needs the digest itself.
      return digest.has_tombstone() ? AddToken(RecordOfPurged(digest, "")) : absl::OkStatus();
    });
  }

  // The events are no longer kept, so every token is read.
  absl::Status FromTokens() {
    RETURN_IF_ERROR(ForEachRecord<TokenRecord>(
        view_, Table::kTokens, [this](const TokenRecord& token) { return AddToken(token); }));
    RETURN_IF_ERROR(FromTombstones());
    RETURN_IF_ERROR(FromBindings());
    return ForEachRecord<CohortRecord>(
        view_, Table::kCohorts, [this](const CohortRecord& cohort) { return AddCohort(cohort); });
  }

  absl::Status AddToken(const TokenRecord& token) {
    if (!ChangedAfter(token, after_)) return absl::OkStatus();
    *part_.add_tokens() = ForJournal(token);
    return GiveWhenFull();
  }
  absl::Status AddCohort(const CohortRecord& cohort) {
    if (cohort.revision() <= after_) return absl::OkStatus();
    *part_.add_cohorts() = cohort;
    return GiveWhenFull();
  }
  absl::Status AddBinding(const BindingRecord& binding) {
    if (binding.update_revision() <= after_) return absl::OkStatus();
    *part_.add_bindings() = binding;
    return GiveWhenFull();
  }
  absl::Status GiveWhenFull() {
    if (part_.tokens_size() + part_.cohorts_size() + part_.bindings_size() <
        static_cast<int>(kAtATime)) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(give_(part_));
    part_.clear_tokens();
    part_.clear_cohorts();
    part_.clear_bindings();
    return absl::OkStatus();
  }

  const View& view_;
  const int64_t after_;
  const std::function<absl::Status(JournalCommit)> give_;
  JournalCommit part_;
  bool purged_ = false;  // there was an event of a token whose record is gone
  bool access_changed_ = false;
};

}  // namespace

JournalCommit JournalEntryFor(const CommitRequest& request) {
  JournalCommit entry;
  entry.set_revision(request.expected_head + 1);
  for (const Mutation& mutation : request.mutations) {
    if (!mutation.value.has_value()) continue;
    if (mutation.table == Table::kTokens) {
      TokenRecord record;
      if (record.ParseFromString(*mutation.value) && ChangedAfter(record, request.expected_head)) {
        *entry.add_tokens() = ForJournal(record);
      }
    } else if (mutation.table == Table::kCohorts) {
      CohortRecord record;
      if (record.ParseFromString(*mutation.value)) *entry.add_cohorts() = std::move(record);
    } else if (mutation.table == Table::kBindings) {
      BindingRecord record;
      if (record.ParseFromString(*mutation.value)) *entry.add_bindings() = std::move(record);
    } else if (mutation.table == Table::kMeta && mutation.key == kHeadKey) {
      HeadRecord head;
      if (head.ParseFromString(*mutation.value)) {
        entry.set_time_us(head.time_us());
        entry.set_fingerprint(head.fingerprint());
      }
    }
  }
  return entry;
}

absl::Status FindUnjournaled(const View& view, int64_t after,
                             const std::function<absl::Status(JournalCommit)>& give) {
  ASSIGN_OR_RETURN(const auto head, GetRecord<HeadRecord>(view, Table::kMeta, kHeadKey));
  if (!head.has_value()) return absl::DataLossError("the store has no head");
  return Missed(view, after, give).Find(*head);
}

absl::StatusOr<std::unique_ptr<JournaledEngine>> JournaledEngine::Open(Engine* inner,
                                                                       const std::string& path,
                                                                       DiskWork* work) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Snapshot> snapshot, inner->NewSnapshot());
  ASSIGN_OR_RETURN(const auto meta, GetRecord<MetaRecord>(*snapshot, Table::kMeta, kMetaKey));
  ASSIGN_OR_RETURN(const auto head_record,
                   GetRecord<HeadRecord>(*snapshot, Table::kMeta, kHeadKey));
  if (!meta.has_value() || !head_record.has_value()) {
    return absl::DataLossError("the store has no meta record, or no head");
  }
  const int64_t head = snapshot->revision();
  JournalSection now;
  now.set_epoch(meta->epoch());
  now.set_from_revision(head);

  std::unique_ptr<JournaledEngine> engine(new JournaledEngine(inner));
  absl::MutexLock lock(&engine->mu_);
  engine->committed_ = engine->marked_ = head;
  Found found;
  ASSIGN_OR_RETURN(engine->journal_, Journal::Open(
                                         path, meta->create_time_us(), now,
                                         [&found](const JournalRecord& record, int64_t offset) {
                                           return found.Add(record, offset);
                                         },
                                         work));
  Journal& journal = *engine->journal_;
  engine->created_journal_ = journal.created();
  if (journal.created()) return engine;

  JournalRecord record;
  if (found.section.epoch() != now.epoch()) {
    if (found.older_epochs.count(now.epoch()) > 0) {
      return RolledBack(path, absl::StrCat("it is of epoch ", now.epoch(), ", and epoch ",
                                           found.section.epoch(), " came after it"));
    }
    *record.mutable_section() = now;
    RETURN_IF_ERROR(journal.Append(record));
    return engine;
  }
  if (head < found.confirmed) {
    return RolledBack(path, absl::StrCat("the store is at revision ", head,
                                         ", and was at revision ", found.confirmed, " before"));
  }
  if (found.confirmed_entry.has_value()) {
    ASSIGN_OR_RETURN(const bool same, IsInStore(*snapshot, *found.confirmed_entry, head));
    if (!same) {
      return RolledBack(path, absl::StrCat("revision ", found.confirmed_entry->revision(),
                                           " of the store is another than the journal's"));
    }
  }
  int64_t known = found.confirmed;
  if (found.last.has_value()) {
    ASSIGN_OR_RETURN(const bool committed, IsInStore(*snapshot, *found.last, head));
    if (committed) {
      known = std::max(known, found.last->revision());
    } else {
      // The process ended between the two writes, or the store has lost the second one.
      engine->unfinished_ = *std::move(found.last);
      engine->unfinished_offset_ = found.last_offset;
    }
  }
  if (known == head && !found.last.has_value()) return engine;
  absl::optional<JournalCommit>& unfinished = engine->unfinished_;
  const bool replaces = unfinished.has_value();
  bool appended = false;
  if (known < head) {
    RETURN_IF_ERROR(FindUnjournaled(*snapshot, known, [&, replaces](JournalCommit part) {
      part.set_replaces_last(replaces && !appended);
      appended = true;
      JournalRecord entry;
      *entry.mutable_commit() = std::move(part);
      return journal.Append(entry);
    }));
  }
  if (unfinished.has_value()) {
    // It stays the last one, without a mark after it, until what it takes away is committed anew.
    if (!appended) return engine;
    unfinished->clear_replaces_last();
    engine->unfinished_offset_ = journal.end();
    *record.mutable_commit() = *unfinished;
    RETURN_IF_ERROR(journal.Append(record));
    return engine;
  }
  record.mutable_mark()->set_revision(head);
  RETURN_IF_ERROR(journal.Append(record));
  return engine;
}

JournaledEngine::~JournaledEngine() {
  absl::MutexLock lock(&mu_);
  if (journal_ == nullptr || committed_ == marked_ || unfinished_.has_value()) return;
  TOLLGATE_INVARIANT(marked_ < committed_, "no mark vouches for what is not committed");
  JournalRecord mark;
  mark.mutable_mark()->set_revision(committed_);
  journal_->Append(mark).IgnoreError();  // without it the next start looks itself
}

absl::optional<JournalCommit> JournaledEngine::unfinished() {
  absl::MutexLock lock(&mu_);
  return unfinished_;
}

absl::Status JournaledEngine::CutUnfinished() {
  absl::MutexLock lock(&mu_);
  if (!unfinished_.has_value()) return absl::OkStatus();
  RETURN_IF_ERROR(journal_->CutTo(unfinished_offset_));
  unfinished_.reset();
  return absl::OkStatus();
}

void JournaledEngine::OnCommitted(int64_t revision) { committed_ = std::max(committed_, revision); }

absl::StatusOr<CommitResult> JournaledEngine::Commit(const CommitRequest& request) {
  // Before anything is journaled: INVALID_ARGUMENT has written nothing.
  RETURN_IF_ERROR(CheckCommitRequest(request).status());
  JournalCommit entry = JournalEntryFor(request);
  if (IsEmpty(entry)) {
    ASSIGN_OR_RETURN(const CommitResult result, inner_->Commit(request));
    if (!result.committed) return result;
    absl::MutexLock lock(&mu_);
    OnCommitted(result.head);
    if (committed_ - marked_ < kJournalMarkEvery || unfinished_.has_value()) return result;
    JournalRecord mark;
    mark.mutable_mark()->set_revision(committed_);
    // The commit is durable, whatever happens to the mark.
    if (journal_->Append(mark).ok()) marked_ = committed_;
    return result;
  }

  absl::MutexLock lock(&mu_);
  const int64_t begin = journal_->end();
  JournalRecord record;
  entry.set_replaces_last(unfinished_.has_value());
  *record.mutable_commit() = std::move(entry);
  RETURN_IF_ERROR(journal_->Append(record));
  TOLLGATE_INVARIANT(journal_->end() > begin, "an entry is in the journal before its commit (R17)");
  // After an error the entry stays: the commit's outcome is uncertain, and the next start settles
  // it.
  ASSIGN_OR_RETURN(const CommitResult result, inner_->Commit(request));
  if (!result.committed) {
    RETURN_IF_ERROR(journal_->CutTo(begin));
    return result;
  }
  TOLLGATE_INVARIANT(result.head == request.expected_head + 1,
                     "a commit has the revision that its journal entry names");
  unfinished_.reset();
  OnCommitted(result.head);
  return result;
}

absl::StatusOr<std::unique_ptr<Snapshot>> JournaledEngine::NewSnapshot() {
  return inner_->NewSnapshot();
}

absl::Status JournaledEngine::MergeUse(
    const std::vector<std::pair<std::string, store::v1::UseRecord>>& uses) {
  return inner_->MergeUse(uses);
}

absl::StatusOr<std::unique_ptr<Tail>> JournaledEngine::TailFrom(
    int64_t after, std::function<void(const TailEntry&)> on_entry) {
  return inner_->TailFrom(after, std::move(on_entry));
}

absl::Status JournaledEngine::FoldUse(
    const std::vector<std::string>& removed,
    const std::vector<std::pair<std::string, store::v1::UseRecord>>& uses) {
  return inner_->FoldUse(removed, uses);
}

absl::Status JournaledEngine::Checkpoint(const std::string& path) {
  RETURN_IF_ERROR(inner_->Checkpoint(path));
  // Marked after the copy, so that the mark is not below the copy's head, whatever was committed
  // meanwhile. Marked under the lock, so that no entry is under way for whose commit the mark would
  // vouch.
  absl::MutexLock lock(&mu_);
  absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = inner_->NewSnapshot();
  absl::Status marked = snapshot.status();
  if (marked.ok()) {
    OnCommitted((*snapshot)->revision());
    JournalRecord mark;
    mark.mutable_mark()->set_revision(committed_);
    marked = journal_->Append(mark);
  }
  if (marked.ok()) {
    marked_ = committed_;
    return marked;
  }
  // Remove the copy: a restore would refuse a copy for which no journal vouches.
  std::error_code error;
  std::filesystem::remove_all(path, error);
  return marked;
}

}  // namespace tollgate::storage
