#include "tests/faults/churn.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "net/credentials.h"

namespace tollgate::faults {

using tollgate::v1::CreateTokenRequest;
using tollgate::v1::CreateTokenResponse;
using tollgate::v1::ResumeTokenRequest;
using tollgate::v1::ResumeTokenResponse;
using tollgate::v1::SuspendTokenRequest;
using tollgate::v1::SuspendTokenResponse;

namespace {

constexpr int kConnections = 4;
constexpr int kMostCreating = 256;
constexpr std::chrono::seconds kDeadline(60);

}  // namespace

struct Churn::Creation {
  grpc::ClientContext context;
  CreateTokenRequest request;
  CreateTokenResponse response;
};

// One token, changed again and again.
struct Churn::Lane {
  std::string token;
  tollgate::v1::TokenService::Stub* stub = nullptr;
  bool suspended = false;
  std::unique_ptr<grpc::ClientContext> context;
  SuspendTokenRequest suspend;
  SuspendTokenResponse suspend_response;
  ResumeTokenRequest resume;
  ResumeTokenResponse resume_response;
};

Churn::Churn(const net::Address& service) {
  for (int i = 0; i < kConnections; ++i) {
    net::ChannelOptions options;
    options.own_connection = true;
    stubs_.push_back(tollgate::v1::TokenService::NewStub(
        net::MakeChannel(service, grpc::InsecureChannelCredentials(), options)));
  }
}

Churn::~Churn() {
  to_do_ = 0;
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(+[](int* running) { return *running == 0; }, &running_));
}

nlohmann::json Churn::Create(const std::string& parent, int count) {
  nlohmann::json made = nlohmann::json::array();
  absl::Mutex mu;
  int in_flight = 0;
  const auto room = [&in_flight] { return in_flight < kMostCreating; };
  const auto none = [&in_flight] { return in_flight == 0; };
  for (int i = 0; i < count; ++i) {
    {
      absl::MutexLock lock(&mu);
      mu.Await(absl::Condition(&room));
      ++in_flight;
    }
    auto* creation = new Creation;
    creation->request.set_parent(parent);
    creation->request.mutable_token()->set_label(absl::StrCat("fault run ", i));
    creation->request.mutable_lifetime()->set_seconds(90 * 24 * 60 *
                                                      60);  // what a wrong clock ends
    creation->context.set_wait_for_ready(true);
    creation->context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    stubs_[static_cast<size_t>(i) % stubs_.size()]->async()->CreateToken(
        &creation->context, &creation->request, &creation->response,
        [creation, &mu, &in_flight, &made](const grpc::Status& status) {
          absl::MutexLock lock(&mu);
          if (status.ok()) {
            made.push_back({{"name", creation->response.token().name()},
                            {"token_string", creation->response.token_string()}});
          }
          delete creation;
          --in_flight;
        });
  }
  absl::MutexLock lock(&mu);
  mu.Await(absl::Condition(&none));
  return made;
}

void Churn::Start(std::vector<std::string> tokens, int64_t events) {
  to_do_ = events;
  {
    absl::MutexLock lock(&mu_);
    running_ = static_cast<int>(tokens.size());
    begun_ = ended_ = base::SystemClock().Now();
  }
  for (size_t i = 0; i < tokens.size(); ++i) {
    auto lane = std::make_shared<Lane>();
    lane->token = std::move(tokens[i]);
    lane->stub = stubs_[i % stubs_.size()].get();
    Next(lane);
  }
}

void Churn::Next(const std::shared_ptr<Lane>& lane) {
  if (to_do_.fetch_sub(1) <= 0) {
    absl::MutexLock lock(&mu_);
    --running_;
    ended_ = base::SystemClock().Now();
    return;
  }
  lane->context = std::make_unique<grpc::ClientContext>();
  lane->context->set_wait_for_ready(true);
  lane->context->set_deadline(std::chrono::system_clock::now() + kDeadline);
  const auto ended = [this, lane](const grpc::Status& status) { Ended(lane, status); };
  if (lane->suspended) {
    lane->resume.set_name(lane->token);
    lane->stub->async()->ResumeToken(lane->context.get(), &lane->resume, &lane->resume_response,
                                     ended);
  } else {
    lane->suspend.set_name(lane->token);
    lane->stub->async()->SuspendToken(lane->context.get(), &lane->suspend, &lane->suspend_response,
                                      ended);
  }
}

void Churn::Ended(const std::shared_ptr<Lane>& lane, const grpc::Status& status) {
  if (status.ok()) {
    ++done_;
    lane->suspended = !lane->suspended;
  } else {
    ++errors_;
  }
  Next(lane);
}

nlohmann::json Churn::Status() const {
  absl::MutexLock lock(&mu_);
  const base::BootTime until = running_ > 0 ? base::SystemClock().Now() : ended_;
  return {{"done", done_.load()},
          {"errors", errors_.load()},
          {"running", running_ > 0},
          {"took_ms", absl::ToDoubleMilliseconds(until - begun_)}};
}

}  // namespace tollgate::faults
