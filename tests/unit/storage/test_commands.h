// Commands and clocks that the storage tests share.
#ifndef TOLLGATE_TESTS_UNIT_STORAGE_TEST_COMMANDS_H_
#define TOLLGATE_TESTS_UNIT_STORAGE_TEST_COMMANDS_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "storage/command.h"
#include "storage/schema.h"

namespace tollgate::storage {

// A command from a lambda.
class LambdaCommand : public Command {
 public:
  using Body = std::function<absl::Status(const View&, const Slot&, Effects&)>;
  explicit LambdaCommand(Body body) : body_(std::move(body)) {}
  absl::string_view name() const override { return "lambda"; }
  absl::Status Run(const View& view, const Slot& slot, Effects& effects) override {
    return body_(view, slot, effects);
  }

 private:
  const Body body_;
};

inline std::shared_ptr<Command> Do(LambdaCommand::Body body) {
  return std::make_shared<LambdaCommand>(std::move(body));
}

// Puts a label, tells an event, writes an audit entry.
inline std::shared_ptr<Command> PutLabel(std::string key, std::string value) {
  return Do([key, value](const View&, const Slot&, Effects& effects) {
    effects.PutRaw(Table::kLabels, key, value);
    v1::Event event;
    event.mutable_token_changed()->set_token_id(key);
    effects.Tell(event);
    store::v1::AuditRecord entry;
    entry.set_action("label.put");
    entry.set_resource(key);
    effects.Audit(entry);
    return absl::OkStatus();
  });
}

inline std::vector<std::string> ScanKeys(const View& view, Table table, absl::string_view begin,
                                         absl::string_view end, size_t limit) {
  std::vector<std::string> keys;
  const std::vector<Entry> entries = view.Scan(table, begin, end, limit).value();
  for (const Entry& entry : entries) keys.push_back(entry.key);
  return keys;
}

// A clock that moves only when the test says so. Thread-safe.
class ManualClock : public base::Clock {
 public:
  base::BootTime Now() const override {
    absl::MutexLock lock(&mu_);
    return base::BootTime::FromNanos(absl::ToInt64Nanoseconds(since_));
  }
  absl::Time WallNow() const override {
    absl::MutexLock lock(&mu_);
    return absl::FromUnixSeconds(1700000000) + since_;
  }
  void Advance(absl::Duration duration) {
    absl::MutexLock lock(&mu_);
    since_ += duration;
  }

 private:
  mutable absl::Mutex mu_;
  absl::Duration since_ ABSL_GUARDED_BY(mu_) = absl::Seconds(100);
};

}  // namespace tollgate::storage

#endif  // TOLLGATE_TESTS_UNIT_STORAGE_TEST_COMMANDS_H_
