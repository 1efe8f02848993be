// A gRPC service that admits nobody without a token of Tollgate's.
// usage: grpc-service TOLLGATED LISTEN; ends when its standard input does.
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/server_credentials.h>
#include <tollgate/edge.h>
#include <tollgate/grpc_guard.h>

#include <iostream>
#include <memory>
#include <mutex>
#include <string>

#include "notes.grpc.pb.h"

namespace {

class Notes final : public notes::v1::Notes::Service {
  grpc::Status Read(grpc::ServerContext* context, const notes::v1::ReadRequest*,
                    notes::v1::ReadResponse* response) override {
    // The token has been judged, and is not here to be seen.
    if (context->client_metadata().count("authorization") > 0) {
      return grpc::Status(grpc::StatusCode::INTERNAL, "the token came through");
    }
    std::lock_guard<std::mutex> lock(mu_);
    response->set_text(text_);
    return grpc::Status::OK;
  }
  grpc::Status Write(grpc::ServerContext*, const notes::v1::WriteRequest* request,
                     notes::v1::WriteResponse*) override {
    std::lock_guard<std::mutex> lock(mu_);
    text_ = request->text();
    return grpc::Status::OK;
  }

  std::mutex mu_;
  std::string text_ = "nothing yet";
};

// ---- The guard, in ten lines.
namespace te = tollgate::edge;

std::shared_ptr<grpc::ServerCredentials> Guarded(std::shared_ptr<te::Edge> edge) {
  // Of the loopback; a service that others reach has grpc::SslServerCredentials.
  auto credentials = grpc::experimental::LocalServerCredentials(LOCAL_TCP);
  credentials->SetAuthMetadataProcessor(std::make_shared<te::GrpcGuard>(
      std::move(edge), [read = te::Requirement().AllOf({"notes:read"}),
                        write = te::Requirement().AllOf({"notes:write"})](std::string_view method) {
        return std::optional<te::Requirement>(method == "/notes.v1.Notes/Read" ? read : write);
      }));
  return credentials;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: grpc-service TOLLGATED LISTEN\n";
    return 2;
  }
  te::Options options;
  options.id = "examples/grpc-service";
  options.service = argv[1];
  auto started = te::Edge::Start(options);
  if (!started.ok()) {
    std::cerr << started.error().reason << ": " << started.error().message << '\n';
    return 1;
  }
  const std::shared_ptr<te::Edge> edge = std::move(*started);

  Notes notes;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.RegisterService(&notes);
  builder.AddListeningPort(argv[2], Guarded(edge), &port);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::cout << (edge->WaitUntilLive(std::chrono::seconds(30)) ? "live" : "not live") << std::endl;
  std::cout << port << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
  }
  server->Shutdown();  // first those that ask, then the edge
  return edge->Stop() ? 0 : 1;
}
