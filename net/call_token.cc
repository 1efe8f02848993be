#include "net/call_token.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tollgate::net {
namespace {

using grpc::experimental::InterceptionHookPoints;

class Adder final : public grpc::experimental::Interceptor {
 public:
  explicit Adder(std::shared_ptr<const base::SecretBytes> token) : token_(std::move(token)) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->insert(
          {"authorization", absl::StrCat("Bearer ", token_->RevealSecret())});
    }
    methods->Proceed();
  }

 private:
  const std::shared_ptr<const base::SecretBytes> token_;
};

class Factory final : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit Factory(std::shared_ptr<const base::SecretBytes> token) : token_(std::move(token)) {}
  grpc::experimental::Interceptor* CreateClientInterceptor(
      grpc::experimental::ClientRpcInfo* /*info*/) override {
    return new Adder(token_);  // gRPC owns it
  }

 private:
  const std::shared_ptr<const base::SecretBytes> token_;
};

}  // namespace

std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> BringToken(
    std::shared_ptr<const base::SecretBytes> token) {
  std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> factories;
  factories.push_back(std::make_unique<Factory>(std::move(token)));
  return factories;
}

}  // namespace tollgate::net
