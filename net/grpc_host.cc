#include "net/grpc_host.h"

#include <grpc/grpc.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "base/thread.h"
#include "net/address.h"
#include "net/daemon.h"
#include "net/reactor.h"

namespace tollgate::net {
namespace {

constexpr absl::Duration kLookAgain = absl::Milliseconds(5);

}  // namespace

GrpcHost::GrpcHost()
    : health_(std::make_unique<Health>(std::vector<std::string>())),
      builder_(std::make_unique<grpc::ServerBuilder>()) {}

GrpcHost::~GrpcHost() {
  DrainPlan at_once;
  at_once.pause = absl::ZeroDuration();
  at_once.limit = absl::ZeroDuration();
  Drain(at_once);
}

absl::StatusOr<std::unique_ptr<GrpcHost>> GrpcHost::Bind(Options options) {
  std::unique_ptr<GrpcHost> host(new GrpcHost());
  RETURN_IF_ERROR(host->Listen(options));
  return host;
}

absl::Status GrpcHost::Listen(const Options& options) {
  // What is wrong with any of them is said before the first is taken.
  std::vector<Address> addresses;
  for (const std::string& text : options.listen) {
    ASSIGN_OR_RETURN(Address address, ParseAddress(text));
    RETURN_IF_ERROR(
        CheckPlaintextAllowed("tollgate", address, !options.tls.empty(), options.allow_plaintext));
    addresses.push_back(std::move(address));
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ServerCredentials> secure,
                   ServerCredentialsFor(options.tls));
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ServerCredentials> plain,
                   ServerCredentialsFor(TlsFiles{}));
  EnableReflection();
  ApplyServerLimits(*builder_, options.limits);
  for (Address& address : addresses) {
    Acceptor::Options acceptor;
    const bool is_unix = address.is_unix();
    acceptor.address = std::move(address);
    acceptor.max_connections = options.max_connections;
    acceptor.share_of = static_cast<int>(addresses.size());
    acceptor.socket_mode = static_cast<mode_t>(options.socket_mode);
    RETURN_IF_ERROR((is_unix && options.tell_users
                         ? listeners_.AddTellingUsers(*builder_, std::move(acceptor))
                         : listeners_.Add(*builder_, std::move(acceptor), is_unix ? plain : secure))
                        .status());
  }
  return absl::OkStatus();
}

void GrpcHost::AddService(const std::string& full_name, grpc::Service* service) {
  health_->AddService(full_name);
  builder_->RegisterService(service);
}

absl::Status GrpcHost::Build() {
  health_->RegisterWith(*builder_);
  server_ = builder_->BuildAndStart();
  builder_.reset();
  if (server_ == nullptr) {
    return base::Refuse(absl::StatusCode::kInternal, "GRPC_START_FAILED",
                        "gRPC could not start; its own log says why");
  }
  return absl::OkStatus();
}

absl::Status GrpcHost::Accept() { return listeners_.Start(); }

std::vector<std::string> GrpcHost::addresses() const {
  std::vector<std::string> out;
  for (const auto& acceptor : listeners_.acceptors()) {
    out.push_back(acceptor->address().ToString());
  }
  return out;
}

int GrpcHost::port() const {
  for (const auto& acceptor : listeners_.acceptors()) {
    if (!acceptor->address().is_unix()) return acceptor->port();
  }
  return 0;
}

void GrpcHost::Drain(const DrainPlan& plan) {
  absl::MutexLock lock(&drain_mu_);
  if (drained_) return;
  drained_ = true;
  if (server_ == nullptr) {
    listeners_.StopAccepting();
    return;
  }
  health_->SetServing(false);
  absl::SleepFor(plan.pause);
  const absl::Time now = absl::Now();
  const absl::Time deadline = now + plan.limit;
  const absl::Time streams_deadline = now + std::min(plan.limit, DrainPlan::kStreamPatience);
  if (plan.end_streams) plan.end_streams();
  health_->EndWatches();
  if (plan.await_streams) plan.await_streams(streams_deadline);
  listeners_.StopAccepting();
  ShutDown(deadline);
  server_.reset();
}

// gRPC waits for every connection to be closed by its peer, until the deadline: one peer that has
// hung would hold it up so long, with nothing left to answer.
void GrpcHost::ShutDown(absl::Time deadline) {
  absl::Notification down;
  absl::StatusOr<std::thread> closing = base::StartThread([this, &down] {
    for (absl::Duration left = DrainPlan::kPartingTime; left > absl::ZeroDuration();) {
      if (down.WaitForNotificationWithTimeout(kLookAgain)) return;
      if (UnaryCallsUnderWay() == 0) left -= kLookAgain;
    }
    grpc_server_cancel_all_calls(server_->c_server());
  });
  server_->Shutdown(absl::ToChronoTime(deadline));
  down.Notify();
  if (closing.ok()) closing->join();  // else the deadline alone ends it
  server_->Wait();
}

}  // namespace tollgate::net
