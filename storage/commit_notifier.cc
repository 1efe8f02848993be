#include "storage/commit_notifier.h"

#include <utility>

namespace tollgate::storage {

class CommitNotifier::Follower : public Tail {
 public:
  Follower(std::shared_ptr<CommitNotifier> notifier, int64_t id)
      : notifier_(std::move(notifier)), id_(id) {}
  ~Follower() override {
    absl::MutexLock lock(&notifier_->mu_);
    notifier_->followers_.erase(id_);
  }

 private:
  const std::shared_ptr<CommitNotifier> notifier_;
  const int64_t id_;
};

std::unique_ptr<Tail> CommitNotifier::Add(OnEntry on_entry) {
  absl::MutexLock lock(&mu_);
  const int64_t id = next_id_++;
  followers_.emplace(id, std::move(on_entry));
  return std::make_unique<Follower>(shared_from_this(), id);
}

void CommitNotifier::Publish(const TailEntry& entry) {
  absl::MutexLock lock(&mu_);
  for (const auto& [id, on_entry] : followers_) on_entry(entry);
}

}  // namespace tollgate::storage
