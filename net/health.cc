#include "net/health.h"

#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "net/reactor.h"

namespace tollgate::net {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using ServingStatus = HealthCheckResponse::ServingStatus;

absl::Status Draining() {
  return base::Refuse(absl::StatusCode::kUnavailable, "DRAINING", "This server is about to stop.");
}

absl::Status CheckName(const std::string& name) {
  if (name.size() <= Health::kMaxNameBytes) return absl::OkStatus();
  return base::RefuseField(
      "HEALTH_NAME_TOO_LONG", "service",
      absl::StrCat("a health name has at most ", Health::kMaxNameBytes, " bytes"));
}

}  // namespace

// The status of each name, and the watchers. Outlives Health while a watcher lives.
class Health::Board {
 public:
  explicit Board(int max_watchers) : max_watchers_(static_cast<size_t>(max_watchers)) {}

  // SERVICE_UNKNOWN where the name was never set.
  ServingStatus StatusOf(const std::string& name) const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    const auto found = states_.find(name);
    return found == states_.end() ? HealthCheckResponse::SERVICE_UNKNOWN : found->second;
  }

  void Set(const std::string& name, bool serving) ABSL_LOCKS_EXCLUDED(mu_);
  void End() ABSL_LOCKS_EXCLUDED(mu_);
  // Refuses a watcher after EndWatches, or when there are too many.
  absl::Status Add(std::shared_ptr<Watcher> watcher) ABSL_LOCKS_EXCLUDED(mu_);
  void Remove(Watcher* watcher) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const size_t max_watchers_;
  mutable absl::Mutex mu_;
  std::map<std::string, ServingStatus> states_ ABSL_GUARDED_BY(mu_);
  std::map<Watcher*, std::shared_ptr<Watcher>> watchers_ ABSL_GUARDED_BY(mu_);
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
};

class Health::Watcher final : public WriteStream<HealthCheckResponse> {
 public:
  Watcher(grpc::CallbackServerContext* context, std::shared_ptr<Board> board, std::string name)
      : WriteStream(context), board_(std::move(board)), name_(std::move(name)) {}

  const std::string& name() const { return name_; }

 private:
  bool NextToWrite(HealthCheckResponse* out) override {
    const ServingStatus now = board_->StatusOf(name_);
    if (now == told_) return false;
    told_ = now;
    out->set_status(now);
    return true;
  }
  void OnEnded() override { board_->Remove(this); }

  const std::shared_ptr<Board> board_;
  const std::string name_;
  ServingStatus told_ = HealthCheckResponse::UNKNOWN;  // NextToWrite's; never a state of a name
};

void Health::Board::Set(const std::string& name, bool serving) {
  const ServingStatus status =
      serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
  std::vector<std::shared_ptr<Watcher>> to_wake;  // woken outside the lock: it writes
  {
    absl::MutexLock lock(&mu_);
    if (ended_) return;
    const auto [entry, is_new] = states_.emplace(name, status);
    if (!is_new && entry->second == status) return;
    entry->second = status;
    for (const auto& [raw, watcher] : watchers_) {
      if (watcher->name() == name) to_wake.push_back(watcher);
    }
  }
  for (const auto& watcher : to_wake) watcher->Wake();
}

void Health::Board::End() {
  std::vector<std::shared_ptr<Watcher>> to_end;
  {
    absl::MutexLock lock(&mu_);
    ended_ = true;
    for (auto& [name, status] : states_) status = HealthCheckResponse::NOT_SERVING;
    for (const auto& [raw, watcher] : watchers_) to_end.push_back(watcher);
  }
  for (const auto& watcher : to_end) watcher->CloseWhenDrained(Draining());
}

absl::Status Health::Board::Add(std::shared_ptr<Watcher> watcher) {
  absl::MutexLock lock(&mu_);
  if (ended_) return Draining();
  if (watchers_.size() >= max_watchers_) {
    return base::Refuse(absl::StatusCode::kResourceExhausted, "TOO_MANY_WATCHERS",
                        absl::StrCat("refused: ", watchers_.size(),
                                     " clients watch the health already; poll with Check instead"));
  }
  Watcher* const raw = watcher.get();
  watchers_.emplace(raw, std::move(watcher));
  return absl::OkStatus();
}

void Health::Board::Remove(Watcher* watcher) {
  absl::MutexLock lock(&mu_);
  watchers_.erase(watcher);  // never its last reference: the stream holds itself until after this
}

class Health::Service final : public grpc::health::v1::Health::CallbackService {
 public:
  explicit Service(std::shared_ptr<Board> board) : board_(std::move(board)) {}

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const HealthCheckRequest* request,
                                  HealthCheckResponse* response) override {
    return UnaryCall<HealthCheckRequest, HealthCheckResponse>::Serve(
        context, request, response, [this](auto call) { call->Answer(Answer(call->request())); });
  }

  grpc::ServerWriteReactor<HealthCheckResponse>* Watch(grpc::CallbackServerContext* context,
                                                       const HealthCheckRequest* request) override {
    absl::Status allowed = CheckName(request->service());
    auto watcher = std::make_shared<Watcher>(context, board_, request->service());
    if (allowed.ok()) allowed = board_->Add(watcher);
    if (!allowed.ok()) return RefuseStream<grpc::ServerWriteReactor<HealthCheckResponse>>(allowed);
    return watcher->Start();
  }

 private:
  absl::StatusOr<HealthCheckResponse> Answer(const HealthCheckRequest& request) const {
    RETURN_IF_ERROR(CheckName(request.service()));
    const ServingStatus status = board_->StatusOf(request.service());
    if (status == HealthCheckResponse::SERVICE_UNKNOWN) {
      return base::Refuse(absl::StatusCode::kNotFound, "HEALTH_NAME_UNKNOWN",
                          "There is no service or health name like this here.");
    }
    HealthCheckResponse response;
    response.set_status(status);
    return response;
  }

  const std::shared_ptr<Board> board_;
};

Health::Health(std::vector<std::string> services, int max_watchers)
    : services_(std::move(services)),
      board_(std::make_shared<Board>(max_watchers)),
      service_(std::make_unique<Service>(board_)) {
  SetServing(false);
  SetServing("liveness", true);
}

Health::~Health() = default;

void Health::AddService(const std::string& full_name) {
  services_.push_back(full_name);
  SetServing(full_name, false);
}

void Health::RegisterWith(grpc::ServerBuilder& builder) { builder.RegisterService(service_.get()); }

void Health::SetServing(bool serving) {
  SetServing("", serving);
  for (const std::string& service : services_) SetServing(service, serving);
  SetServing("readiness", serving);
}

void Health::SetServing(const std::string& name, bool serving) { board_->Set(name, serving); }

std::function<bool(const std::string& name)> Health::Reader() const {
  return [board = board_](const std::string& name) {
    return board->StatusOf(name) == HealthCheckResponse::SERVING;
  };
}

void Health::EndWatches() { board_->End(); }

}  // namespace tollgate::net
