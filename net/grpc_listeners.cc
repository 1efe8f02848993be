#include "net/grpc_listeners.h"

#include <utility>

#include "base/status.h"
#include "net/user_doors.h"

namespace tollgate::net {

GrpcListeners::~GrpcListeners() { StopAccepting(); }

absl::StatusOr<const Acceptor*> GrpcListeners::Add(
    grpc::ServerBuilder& builder, Acceptor::Options options,
    std::shared_ptr<grpc::ServerCredentials> credentials) {
  const std::shared_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor =
      builder.experimental().AddExternalConnectionAcceptor(
          grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
          std::move(credentials));
  return Add(std::move(options), [acceptor](AcceptedConnection connection) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
    parameters.listener_fd = -1;
    parameters.fd = connection.fd;
    acceptor->HandleNewConnection(&parameters);
  });
}

absl::StatusOr<const Acceptor*> GrpcListeners::AddTellingUsers(grpc::ServerBuilder& builder,
                                                               Acceptor::Options options) {
  const auto doors = std::make_shared<UserDoors>(builder);
  return Add(std::move(options),
             [doors](AcceptedConnection connection) { doors->Take(connection); });
}

absl::StatusOr<const Acceptor*> GrpcListeners::Add(Acceptor::Options options,
                                                   Acceptor::Handler door) {
  ASSIGN_OR_RETURN(std::unique_ptr<Acceptor> acceptor, Acceptor::Bind(std::move(options)));
  acceptors_.push_back(std::move(acceptor));
  doors_.push_back(std::move(door));
  return acceptors_.back().get();
}

absl::Status GrpcListeners::Start() {
  for (size_t i = 0; i < acceptors_.size(); ++i) {
    RETURN_IF_ERROR(acceptors_[i]->Start(doors_[i]));
  }
  return absl::OkStatus();
}

void GrpcListeners::StopAccepting() {
  for (const auto& acceptor : acceptors_) acceptor->Stop();
}

}  // namespace tollgate::net
