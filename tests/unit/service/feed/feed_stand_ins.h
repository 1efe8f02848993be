// What the tests of the feed, and of what stands on it, commit, say and ask for: one event, a
// validator's requests, a receipt, and a store whose tail can skip an entry.
#ifndef TOLLGATE_TESTS_UNIT_SERVICE_FEED_FEED_STAND_INS_H_
#define TOLLGATE_TESTS_UNIT_SERVICE_FEED_FEED_STAND_INS_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "gtest/gtest.h"
#include "service/feed/hub.h"
#include "storage/engine.h"
#include "storage/sequencer.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::service {

// An event about a token of a workspace, whose id has so many bytes.
inline v1::Event TokenChanged(const std::string& workspace, size_t bytes) {
  v1::Event event;
  event.mutable_token_changed()->set_workspace(workspace);
  event.mutable_token_changed()->set_token_id(std::string(bytes, 't'));
  return event;
}

// One event, about one token.
class TellOne : public storage::Command {
 public:
  explicit TellOne(size_t bytes = 16) : bytes_(bytes) {}
  absl::string_view name() const override { return "tell_one"; }
  absl::Status Run(const storage::View&, const storage::Slot&, storage::Effects& effects) override {
    effects.PutRaw(storage::Table::kUse, "k", "v");
    effects.Tell(TokenChanged("acme", bytes_));
    return absl::OkStatus();
  }

 private:
  const size_t bytes_;
};

// A validator's first word. `incarnation` is one of 16 such bytes.
inline v1::FollowRequest HelloRequest(const std::string& id, char incarnation,
                                      const std::string& epoch, int64_t applied) {
  v1::FollowRequest request;
  request.mutable_hello()->set_validator_id(id);
  request.mutable_hello()->set_incarnation(std::string(16, incarnation));
  request.mutable_hello()->set_epoch(epoch);
  request.mutable_hello()->set_applied_revision(applied);
  return request;
}
inline v1::FollowRequest PingRequest(uint64_t sequence, int64_t applied) {
  v1::FollowRequest request;
  request.mutable_ping()->set_sequence(sequence);
  request.mutable_ping()->set_applied_revision(applied);
  return request;
}
inline v1::FollowRequest GoodbyeRequest() {
  v1::FollowRequest request;
  request.mutable_goodbye();
  return request;
}

// The receipt of `revision`: once it is enforced, or as it stands after `timeout`. None, and a
// failure, where the hub does not answer within twice as long as `patience`.
inline v1::Receipt AwaitReceipt(Hub& hub, int64_t revision, absl::Duration timeout,
                                absl::Duration patience) {
  struct Answer {
    absl::Mutex mu;
    absl::optional<v1::Receipt> receipt;
  };
  const auto answer = std::make_shared<Answer>();  // it may come when nobody waits any more
  hub.WaitEnforced({revision, "", ""}, timeout, [answer](v1::Receipt receipt) {
    absl::MutexLock lock(&answer->mu);
    answer->receipt = std::move(receipt);
  });
  absl::MutexLock lock(&answer->mu);
  const auto there = [&] { return answer->receipt.has_value(); };
  EXPECT_TRUE(answer->mu.AwaitWithTimeout(absl::Condition(&there), 2 * patience));
  return answer->receipt.value_or(v1::Receipt());
}

// Another engine, whose tail skips an entry on demand. Thread-safe, as that engine is.
class GapEngine : public storage::Engine {
 public:
  explicit GapEngine(storage::Engine* engine) : engine_(engine) {}
  absl::StatusOr<std::unique_ptr<storage::Snapshot>> NewSnapshot() override {
    return engine_->NewSnapshot();
  }
  absl::StatusOr<storage::CommitResult> Commit(const storage::CommitRequest& request) override {
    return engine_->Commit(request);
  }
  absl::Status MergeUse(
      const std::vector<std::pair<std::string, store::v1::UseRecord>>& uses) override {
    return engine_->MergeUse(uses);
  }
  absl::Status FoldUse(
      const std::vector<std::string>& removed,
      const std::vector<std::pair<std::string, store::v1::UseRecord>>& uses) override {
    return engine_->FoldUse(removed, uses);
  }
  absl::StatusOr<std::unique_ptr<storage::Tail>> TailFrom(
      int64_t after, std::function<void(const storage::TailEntry&)> on_entry) override {
    tailed_from = after;
    return engine_->TailFrom(after, [this, on_entry](const storage::TailEntry& entry) {
      if (!skip.exchange(false)) on_entry(entry);
    });
  }
  absl::Status Checkpoint(const std::string& path) override { return engine_->Checkpoint(path); }

  std::atomic<bool> skip{false};
  std::atomic<int64_t> tailed_from{-1};  // after which revision the last tail began

 private:
  storage::Engine* const engine_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_TESTS_UNIT_SERVICE_FEED_FEED_STAND_INS_H_
