#include "storage/embedded_engine.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/invariant.h"
#include "base/status.h"
#include "storage/schema.h"

namespace tollgate::storage {
namespace {

using store::v1::EventsRecord;
using store::v1::FingerprintRecord;
using store::v1::HeadRecord;

// Events and fingerprints are read this many revisions at a time.
constexpr int64_t kCatchUpChunk = 512;

TailEntry WithoutEvents(int64_t revision) {
  TailEntry entry;
  entry.revision = revision;
  entry.events.set_revision(revision);
  return entry;
}

}  // namespace

absl::StatusOr<HeadRecord> CheckCommitRequest(const CommitRequest& request) {
  const int64_t revision = request.expected_head + 1;
  const Mutation* head = nullptr;
  for (const Mutation& mutation : request.mutations) {
    if (mutation.table == Table::kMeta && mutation.key == kHeadKey) head = &mutation;
  }
  HeadRecord record;
  if (head == nullptr || !head->value.has_value() || !record.ParseFromString(*head->value)) {
    return absl::InvalidArgumentError("a commit without its HeadRecord");
  }
  if (record.revision() != revision) {
    return absl::InvalidArgumentError(absl::StrCat("a commit on head ", request.expected_head,
                                                   " with the HeadRecord of revision ",
                                                   record.revision()));
  }
  if (request.events.events().events_size() > 0 && request.events.events().revision() != revision) {
    return absl::InvalidArgumentError(absl::StrCat("a commit of revision ", revision,
                                                   " with events of revision ",
                                                   request.events.events().revision()));
  }
  return record;
}

void EmbeddedEngine::StartAtHead(int64_t head) {
  absl::MutexLock lock(&commit_mu_);
  head_ = head;
}

absl::StatusOr<CommitResult> EmbeddedEngine::Commit(const CommitRequest& request) {
  ASSIGN_OR_RETURN(HeadRecord new_head, CheckCommitRequest(request));
  const bool has_events = request.events.events().events_size() > 0;
  Mutation events;
  if (has_events) {
    events = Mutation{Table::kEvents, RevisionKey(request.expected_head + 1),
                      SerializeRecord(request.events)};
  }

  absl::MutexLock lock(&commit_mu_);
  if (!failure_.ok()) {
    return absl::UnavailableError(
        absl::StrCat("an earlier write failed, nothing is written after it: ",
                     absl::string_view(failure_.message())));
  }
  if (request.expected_head != head_) return CommitResult{false, head_};
  absl::Status written = Write(request.mutations, has_events ? &events : nullptr);
  if (!written.ok()) {
    failure_ = written;
    return written;
  }
  TOLLGATE_INVARIANT(head_ == request.expected_head, "nobody else moved the head during a commit");
  head_ = request.expected_head + 1;
  TailEntry entry = WithoutEvents(head_);
  if (has_events) entry.events = request.events.events();
  entry.fingerprint = std::move(*new_head.mutable_fingerprint());
  notifier_->Publish(entry);
  return CommitResult{true, head_};
}

absl::StatusOr<int64_t> EmbeddedEngine::CatchUp(
    int64_t after, const std::function<void(const TailEntry&)>& on_entry) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Snapshot> snapshot, NewSnapshot());
  ASSIGN_OR_RETURN(const absl::optional<HeadRecord> head,
                   GetRecord<HeadRecord>(*snapshot, Table::kMeta, kHeadKey));
  if (!head.has_value()) return absl::DataLossError("the store has no HeadRecord");
  if (after > head->revision()) {
    return base::Refuse(
        absl::StatusCode::kOutOfRange, "REVISION_IN_FUTURE",
        absl::StrCat("cannot follow after revision ", after, ": the head is ", head->revision()));
  }
  if (after < head->compacted_revision()) {
    return base::Refuse(absl::StatusCode::kOutOfRange, "REVISION_COMPACTED",
                        absl::StrCat("cannot follow after revision ", after, ": events up to ",
                                     head->compacted_revision(), " are no longer kept"));
  }
  int64_t revision = after;
  while (revision < head->revision()) {
    const int64_t last = std::min(revision + kCatchUpChunk, head->revision());
    const std::string begin = RevisionKey(revision + 1);
    const std::string end = RevisionKey(last + 1);
    ASSIGN_OR_RETURN(const std::vector<Entry> events,
                     snapshot->Scan(Table::kEvents, begin, end, kCatchUpChunk));
    ASSIGN_OR_RETURN(const std::vector<Entry> fingerprints,
                     snapshot->Scan(Table::kFingerprints, begin, end, kCatchUpChunk));
    auto next_events = events.begin();
    auto next_fingerprint = fingerprints.begin();
    while (revision < last) {
      TailEntry entry = WithoutEvents(++revision);
      const std::string key = RevisionKey(revision);
      if (next_events != events.end() && next_events->key == key) {
        EventsRecord record;
        if (!record.ParseFromString(next_events++->value)) {
          return absl::DataLossError(
              absl::StrCat("the events of revision ", revision, " are unreadable"));
        }
        entry.events = std::move(*record.mutable_events());
      }
      if (next_fingerprint != fingerprints.end() && next_fingerprint->key == key) {
        FingerprintRecord record;
        if (!record.ParseFromString(next_fingerprint++->value)) {
          return absl::DataLossError(
              absl::StrCat("the fingerprint of revision ", revision, " is unreadable"));
        }
        entry.fingerprint = std::move(*record.mutable_fingerprint());
      }
      on_entry(entry);
    }
    // What is left over is under no revision's key.
    if (next_events != events.end() || next_fingerprint != fingerprints.end()) {
      return absl::DataLossError(absl::StrCat("the events or fingerprints up to revision ", last,
                                              " have a key that is no revision"));
    }
  }
  return revision;
}

absl::StatusOr<std::unique_ptr<Tail>> EmbeddedEngine::TailFrom(
    int64_t after, std::function<void(const TailEntry&)> on_entry) {
  // Most revisions are read while commits go on, because they may be many.
  ASSIGN_OR_RETURN(int64_t reached, CatchUp(after, on_entry));
  absl::MutexLock lock(&commit_mu_);
  ASSIGN_OR_RETURN(reached, CatchUp(reached, on_entry));
  if (reached != head_) {
    return absl::DataLossError(
        absl::StrCat("the store's events end at revision ", reached, ", and its head is ", head_));
  }
  return notifier_->Add(std::move(on_entry));
}

}  // namespace tollgate::storage
