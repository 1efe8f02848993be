#include "net/grpc_host.h"

#include <utility>

#include "absl/time/clock.h"
#include "base/status.h"
#include "net/address.h"
#include "net/daemon.h"

namespace tollgate::net {

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
    RETURN_IF_ERROR(
        listeners_.Add(*builder_, std::move(acceptor), is_unix ? plain : secure).status());
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

void GrpcHost::Accept() { listeners_.Start(); }

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
  const absl::Time deadline = absl::Now() + plan.limit;
  listeners_.StopAccepting();
  if (plan.end_streams) plan.end_streams();
  health_->EndWatches();
  if (plan.await_streams) plan.await_streams(deadline);
  server_->Shutdown(absl::ToChronoTime(deadline));
  server_->Wait();
  server_.reset();
}

}  // namespace tollgate::net
