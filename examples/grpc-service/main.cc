// A gRPC service that admits nobody without a token of Tollgate's, and whose streams end with
// their tokens.
// usage: grpc-service TOLLGATED LISTEN; ends when its standard input does.
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/server_credentials.h>
#include <tollgate/edge.h>
#include <tollgate/grpc_guard.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

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
  grpc::Status Watch(grpc::ServerContext* context, const notes::v1::WatchRequest*,
                     grpc::ServerWriter<notes::v1::ReadResponse>* writer) override {
    std::unique_lock<std::mutex> lock(mu_);
    for (int64_t sent = -1; !context->IsCancelled();) {  // by the client, or when its token ends
      if (std::exchange(sent, changes_) != changes_) {
        notes::v1::ReadResponse response;
        response.set_text(text_);
        lock.unlock();
        writer->Write(response);
        lock.lock();
      } else {
        changed_.wait_for(lock, std::chrono::milliseconds(50));
      }
    }
    return grpc::Status::CANCELLED;
  }
  grpc::Status Write(grpc::ServerContext*, const notes::v1::WriteRequest* request,
                     notes::v1::WriteResponse*) override {
    std::lock_guard<std::mutex> lock(mu_);
    text_ = request->text();
    ++changes_;
    changed_.notify_all();
    return grpc::Status::OK;
  }

  std::mutex mu_;
  std::condition_variable changed_;
  std::string text_ = "nothing yet";
  int64_t changes_ = 0;
};

// ---- The guard, in ten lines.
namespace te = tollgate::edge;

void Listen(const char* address, std::shared_ptr<te::Edge> edge, grpc::ServerBuilder* builder,
            int* port) {
  auto guard = std::make_shared<te::GrpcGuard>(
      std::move(edge), [read = te::Requirement().AllOf({"notes:read"}),
                        write = te::Requirement().AllOf({"notes:write"})](std::string_view method) {
        const bool reads = method == "/notes.v1.Notes/Read" || method == "/notes.v1.Notes/Watch";
        return std::optional<te::Requirement>(reads ? read : write);
      });
  // Of the loopback; a service that others reach has grpc::SslServerCredentials.
  auto credentials = grpc::experimental::LocalServerCredentials(LOCAL_TCP);
  credentials->SetAuthMetadataProcessor(guard);
  builder->AddListeningPort(address, credentials, port);
  builder->experimental().SetInterceptorCreators(te::GrpcGuard::HoldStreams(guard));
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
  Listen(argv[2], edge, &builder, &port);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::cout << (edge->WaitUntilLive(std::chrono::seconds(30)) ? "live" : "not live") << std::endl;
  std::cout << port << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
  }
  // First those that ask, then the edge. Streams may stay open for as long as their tokens are
  // good, so they are not waited for.
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  return edge->Stop() ? 0 : 1;
}
