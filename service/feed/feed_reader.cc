#include "service/feed/feed_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/mutation.h"
#include "base/status.h"
#include "storage/schema.h"

namespace tollgate::service {

using store::v1::EventsRecord;
using store::v1::HeadRecord;

class FeedReaders::Reader : public FeedReader {
 public:
  Reader(FeedReaders* readers, uint64_t number, int64_t after)
      : readers_(readers), number_(number), cursor_(after) {}
  ~Reader() override {
    absl::MutexLock lock(&readers_->mu_);
    readers_->wakes_.erase(number_);
  }

  absl::StatusOr<std::vector<SharedRevision>> Read(size_t max_revisions) override {
    RingRead read = readers_->ring_->After(cursor_, max_revisions, size_t{1} << 20);
    if (!read.fell_off) {
      cursor_ = read.complete_to;
      return std::move(read.revisions);
    }
    // Reads on until there is something to return, or the ring takes over.
    while (true) {
      CatchUp answer = readers_->ReadStore(cursor_, max_revisions);
      switch (answer.state) {
        case CatchUp::State::kOk:
          break;
        case CatchUp::State::kCompacted:
          return base::Refuse(absl::StatusCode::kOutOfRange, "COMPACTED",
                              absl::StrCat("refused: the events after revision ", cursor_,
                                           " are no longer kept. Begin at a newer one."));
        case CatchUp::State::kFailed:
          return absl::UnavailableError("the store cannot be read");
      }
      cursor_ = std::max(cursor_, answer.complete_to);
      if (!answer.revisions.empty()) return std::move(answer.revisions);
      if (cursor_ >= readers_->ring_->floor()) return Read(max_revisions);
    }
  }
  int64_t cursor() const override { return cursor_; }

 private:
  FeedReaders* const readers_;
  const uint64_t number_;
  int64_t cursor_;
};

absl::StatusOr<std::unique_ptr<FeedReader>> FeedReaders::Subscribe(int64_t after,
                                                                   std::function<void()> wake) {
  if (after < 0 || after > ring_->head()) {
    return base::Refuse(
        absl::StatusCode::kOutOfRange, "REVISION_FROM_THE_FUTURE",
        absl::StrCat("refused: ", after, " is above the newest revision, ", ring_->head()));
  }
  absl::MutexLock lock(&mu_);
  const uint64_t number = next_++;
  wakes_.emplace(number, std::move(wake));
  return std::unique_ptr<FeedReader>(std::make_unique<Reader>(this, number, after));
}

void FeedReaders::WakeAll() {
  absl::MutexLock lock(&mu_);
  for (const auto& [number, wake] : wakes_) wake();
}

CatchUp FeedReaders::ReadStore(int64_t after, size_t max_revisions) const {
  CatchUp answer;
  // The ring's head is read first: a snapshot may be a moment ahead of the tail, and nobody may be
  // told more than the head by which a resume is judged (R11).
  const int64_t head = ring_->head();
  const auto failed = [&answer](const absl::Status& status) {
    base::LogSummed(base::LogLevel::kError, "old events cannot be read", base::ReasonOf(status),
                    {{"status", status}});
    answer.state = CatchUp::State::kFailed;
    return answer;
  };
  absl::StatusOr<std::unique_ptr<storage::Snapshot>> snapshot = engine_->NewSnapshot();
  if (!snapshot.ok()) return failed(snapshot.status());
  absl::StatusOr<absl::optional<HeadRecord>> head_record =
      storage::GetRecord<HeadRecord>(**snapshot, storage::Table::kMeta, storage::kHeadKey);
  if (!head_record.ok()) return failed(head_record.status());
  if (!head_record->has_value()) return failed(absl::DataLossError("no head record"));
  if (after < (*head_record)->compacted_revision() && !TOLLGATE_MUTATED("r11_compacted_resumed")) {
    answer.state = CatchUp::State::kCompacted;
    return answer;
  }
  absl::StatusOr<std::vector<storage::Entry>> entries = (*snapshot)->Scan(
      storage::Table::kEvents, storage::RevisionKey(after + 1), "", max_revisions);
  if (!entries.ok()) return failed(entries.status());
  answer.state = CatchUp::State::kOk;
  answer.complete_to = std::max(after, head);
  size_t bytes = 0;
  bool cut = entries->size() == max_revisions;
  for (const storage::Entry& entry : *entries) {
    if (bytes > size_t{4} << 20) {  // a bound on what one slow stream holds (I5)
      cut = true;
      break;
    }
    EventsRecord record;
    if (!record.ParseFromString(entry.value)) {
      return failed(absl::DataLossError("an events record cannot be parsed"));
    }
    absl::StatusOr<int64_t> revision = storage::ParseRevisionKey(entry.key);
    if (!revision.ok()) return failed(revision.status());
    if (*revision > head) {
      cut = false;
      break;
    }
    record.mutable_events()->set_revision(*revision);
    absl::optional<v1::Proof> proof;
    if (proofs_ != nullptr) {
      const absl::StatusOr<absl::optional<std::string>> fingerprint =
          storage::FingerprintAt(**snapshot, *revision);
      if (!fingerprint.ok()) return failed(fingerprint.status());
      if (fingerprint->has_value()) proof = proofs_->ProofOf(*revision, **fingerprint);
    }
    answer.revisions.push_back(
        MakeFeedRevision(record.events(), max_part_bytes_, proof ? &*proof : nullptr));
    bytes += answer.revisions.back()->bytes;
  }
  if (cut && !answer.revisions.empty()) answer.complete_to = answer.revisions.back()->revision;
  return answer;
}

KnownFingerprint FeedReaders::ReadFingerprint(int64_t revision) const {
  KnownFingerprint known;
  const auto read = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot, engine_->NewSnapshot());
    ASSIGN_OR_RETURN(absl::optional<std::string> found,
                     storage::FingerprintAt(*snapshot, revision));
    known.state =
        found.has_value() ? KnownFingerprint::State::kKept : KnownFingerprint::State::kNotKept;
    if (found.has_value()) known.value = *std::move(found);
    return absl::OkStatus();
  };
  const absl::Status status = read();
  if (!status.ok()) {
    base::LogSummed(base::LogLevel::kError, "a fingerprint cannot be read", base::ReasonOf(status),
                    {{"status", status}});
  }
  return known;
}

}  // namespace tollgate::service
