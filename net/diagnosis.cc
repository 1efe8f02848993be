#include "net/diagnosis.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include "absl/time/clock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "net/credentials.h"

namespace tollgate::net {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

// Whether the server's health knows the name.
bool Knows(Health::Stub& stub, const std::string& name, absl::Time deadline) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(deadline));
  HealthCheckRequest request;
  HealthCheckResponse response;
  request.set_service(name);
  return stub.Check(&context, request, &response).ok();
}

// Who does not know the method.
ReachFault Recognise(const Peer& peer, absl::Duration limit) {
  ChannelOptions options;
  options.own_connection = true;
  const std::unique_ptr<Health::Stub> stub =
      Health::NewStub(MakeChannel(peer.target.address, peer.credentials, options));
  const absl::Time deadline = absl::Now() + limit;
  for (const Kin& kin : peer.words.kin) {
    if (Knows(*stub, kin.health_name, deadline)) return FaultOfStranger(&kin, peer.words);
  }
  if (Knows(*stub, peer.words.health_name, deadline)) return FaultOfOldVersion();
  return FaultOfStranger(nullptr, peer.words);
}

}  // namespace

ReachFault Diagnose(const Peer& peer, const absl::Status& ended, absl::Duration limit,
                    const Interruption* interruption) {
  if (ended.code() == absl::StatusCode::kUnimplemented) {
    if (ReachFault http = FaultOfAnswer(ended, peer.words); http.found()) return http;
    return Recognise(peer, limit);
  }
  if (ReachFault fault = FaultOfAnswer(ended, peer.words); fault.found()) return fault;
  return FaultOf(ProbeAddress(peer.target, limit, interruption), peer.words);
}

}  // namespace tollgate::net
