#include "net/grpc_listeners.h"

#include <utility>

#include "base/status.h"

namespace tollgate::net {

GrpcListeners::~GrpcListeners() { StopAccepting(); }

absl::StatusOr<const Acceptor*> GrpcListeners::Add(
    grpc::ServerBuilder& builder, Acceptor::Options options,
    std::shared_ptr<grpc::ServerCredentials> credentials) {
  ASSIGN_OR_RETURN(std::unique_ptr<Acceptor> acceptor, Acceptor::Bind(std::move(options)));
  doors_.push_back(builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      std::move(credentials)));
  acceptors_.push_back(std::move(acceptor));
  return acceptors_.back().get();
}

absl::Status GrpcListeners::Start() {
  for (size_t i = 0; i < acceptors_.size(); ++i) {
    RETURN_IF_ERROR(acceptors_[i]->Start([door = doors_[i]](AcceptedConnection connection) {
      grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
      parameters.listener_fd = -1;
      parameters.fd = connection.fd;
      door->HandleNewConnection(&parameters);
    }));
  }
  return absl::OkStatus();
}

void GrpcListeners::StopAccepting() {
  for (const auto& acceptor : acceptors_) acceptor->Stop();
}

}  // namespace tollgate::net
