#include "tests/instruments/fault_engine.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "storage/schema.h"
#include "token/fingerprint.h"

namespace tollgate::instruments {
namespace {

absl::Status Crashed() { return absl::UnavailableError("the machine has lost power"); }

}  // namespace

FaultEngine::FaultEngine(std::unique_ptr<storage::Engine> inner) : inner_(std::move(inner)) {
  absl::StatusOr<std::unique_ptr<storage::Snapshot>> snapshot = inner_->NewSnapshot();
  absl::MutexLock lock(&mu_);
  if (snapshot.ok()) durable_ = *std::move(snapshot);
}

FaultEngine::~FaultEngine() {
  absl::MutexLock lock(&mu_);
  holding_ = false;
  mu_.Await(absl::Condition(+[](int* under_way) { return *under_way == 0; }, &under_way_));
  durable_.reset();  // before the engine it reads
}

void FaultEngine::FailNextCommit(absl::Status error) {
  absl::MutexLock lock(&mu_);
  commit_fault_ = Fault{std::move(error), false};
}

void FaultEngine::FailNextCommitUncertainly(absl::Status error) {
  absl::MutexLock lock(&mu_);
  commit_fault_ = Fault{std::move(error), true};
}

void FaultEngine::LoseNextRace(std::vector<storage::Mutation> rival) {
  absl::MutexLock lock(&mu_);
  rivals_.push_back(std::move(rival));
}

void FaultEngine::FailNextSnapshot(absl::Status error) {
  absl::MutexLock lock(&mu_);
  snapshot_error_ = std::move(error);
}

void FaultEngine::FailNextMergeUse(absl::Status error) {
  absl::MutexLock lock(&mu_);
  merge_error_ = std::move(error);
}

void FaultEngine::HoldCommits() {
  absl::MutexLock lock(&mu_);
  holding_ = true;
}

void FaultEngine::ReleaseCommits() {
  absl::MutexLock lock(&mu_);
  holding_ = false;
}

bool FaultEngine::WaitForHeld(int count) {
  absl::MutexLock lock(&mu_);
  wanted_held_ = count;
  return mu_.AwaitWithTimeout(absl::Condition(
                                  +[](FaultEngine* self) ABSL_EXCLUSIVE_LOCKS_REQUIRED(self->mu_) {
                                    return self->held_ >= self->wanted_held_;
                                  },
                                  this),
                              absl::Seconds(10));
}

bool FaultEngine::NotHeldLocked() const { return !holding_; }

absl::Status FaultEngine::EnterCommit(Fault* fault, std::vector<storage::Mutation>* rival,
                                      bool* has_rival) {
  absl::MutexLock lock(&mu_);
  if (crashed_) return Crashed();
  ++under_way_;
  if (holding_) {
    ++held_;
    mu_.Await(absl::Condition(this, &FaultEngine::NotHeldLocked));
    --held_;
  }
  if (crashed_) {
    *fault = Fault{Crashed(), keep_under_way_};
    return absl::OkStatus();
  }
  *fault = commit_fault_;
  commit_fault_ = Fault();
  *has_rival = !rivals_.empty();
  if (*has_rival) {
    *rival = std::move(rivals_.front());
    rivals_.erase(rivals_.begin());
  }
  return absl::OkStatus();
}

absl::Status FaultEngine::CommitRival(const std::vector<storage::Mutation>& rival) {
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot, inner_->NewSnapshot());
  ASSIGN_OR_RETURN(const absl::optional<store::v1::HeadRecord> found,
                   storage::GetRecord<store::v1::HeadRecord>(*snapshot, storage::Table::kMeta,
                                                             storage::kHeadKey));
  store::v1::HeadRecord head = found.value();
  storage::CommitRequest request;
  request.expected_head = head.revision();
  request.mutations = rival;
  head.set_revision(head.revision() + 1);
  store::v1::FingerprintRecord fingerprint;
  fingerprint.set_fingerprint(token::Fingerprint("rival", {head.fingerprint()}));
  head.set_fingerprint(fingerprint.fingerprint());
  request.mutations.push_back(storage::Mutation{storage::Table::kFingerprints,
                                                storage::RevisionKey(head.revision()),
                                                storage::SerializeRecord(fingerprint)});
  request.mutations.push_back(
      storage::Mutation{storage::Table::kMeta, storage::kHeadKey, storage::SerializeRecord(head)});
  return inner_->Commit(request).status();
}

absl::StatusOr<storage::CommitResult> FaultEngine::Commit(const storage::CommitRequest& request) {
  Fault fault;
  std::vector<storage::Mutation> rival;
  bool has_rival = false;
  RETURN_IF_ERROR(EnterCommit(&fault, &rival, &has_rival));

  absl::StatusOr<storage::CommitResult> result = storage::CommitResult{};
  if (fault.error.ok() || fault.written) {
    absl::Status status = has_rival ? CommitRival(rival) : absl::OkStatus();
    result = status.ok() ? inner_->Commit(request) : absl::StatusOr<storage::CommitResult>(status);
  }
  absl::StatusOr<std::unique_ptr<storage::Snapshot>> durable = inner_->NewSnapshot();

  absl::MutexLock lock(&mu_);
  if (result.ok() && durable.ok()) {
    if (result->committed) ++commits_;
    // Two commits may end in any order; the later snapshot is the newer store.
    if ((*durable)->revision() >= durable_->revision()) durable_ = *std::move(durable);
  }
  --under_way_;
  if (!fault.error.ok()) return fault.error;
  return result;
}

absl::StatusOr<std::unique_ptr<storage::MemoryEngine>> FaultEngine::Crash(
    bool keep_commits_under_way) {
  absl::MutexLock lock(&mu_);
  if (crashed_) return absl::FailedPreconditionError("it has crashed before");
  crashed_ = true;
  keep_under_way_ = keep_commits_under_way;
  holding_ = false;
  mu_.Await(absl::Condition(+[](int* under_way) { return *under_way == 0; }, &under_way_));
  return storage::MemoryEngine::CopyOf(*durable_);
}

int FaultEngine::commits() const {
  absl::MutexLock lock(&mu_);
  return commits_;
}

absl::StatusOr<std::unique_ptr<storage::Snapshot>> FaultEngine::NewSnapshot() {
  {
    absl::MutexLock lock(&mu_);
    if (crashed_) return Crashed();
    if (!snapshot_error_.ok()) return std::exchange(snapshot_error_, absl::OkStatus());
  }
  return inner_->NewSnapshot();
}

absl::Status FaultEngine::MergeUse(
    const std::vector<std::pair<std::string, store::v1::UseRecord>>& uses) {
  {
    absl::MutexLock lock(&mu_);
    if (crashed_) return Crashed();
    if (!merge_error_.ok()) return std::exchange(merge_error_, absl::OkStatus());
  }
  return inner_->MergeUse(uses);
}

absl::Status FaultEngine::FoldUse(
    const std::vector<std::string>& removed,
    const std::vector<std::pair<std::string, store::v1::UseRecord>>& uses) {
  {
    absl::MutexLock lock(&mu_);
    if (crashed_) return Crashed();
    if (!merge_error_.ok()) return std::exchange(merge_error_, absl::OkStatus());
  }
  return inner_->FoldUse(removed, uses);
}

absl::StatusOr<std::unique_ptr<storage::Tail>> FaultEngine::TailFrom(
    int64_t after, std::function<void(const storage::TailEntry&)> on_entry) {
  {
    absl::MutexLock lock(&mu_);
    if (crashed_) return Crashed();
  }
  return inner_->TailFrom(after, std::move(on_entry));
}

absl::Status FaultEngine::Checkpoint(const std::string& path) {
  {
    absl::MutexLock lock(&mu_);
    if (crashed_) return Crashed();
  }
  return inner_->Checkpoint(path);
}

}  // namespace tollgate::instruments
