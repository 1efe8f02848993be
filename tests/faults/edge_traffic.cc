#include "tests/faults/edge_traffic.h"

#include <grpcpp/client_context.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/clock.h"
#include "net/credentials.h"

namespace tollgate::faults {

using tollgate::v1::ValidateRequest;
using tollgate::v1::ValidateResponse;

namespace {

int64_t BootMicros() { return base::SystemClock().Now().nanos() / 1000; }

std::shared_ptr<grpc::Channel> ChannelTo(const net::Address& address) {
  net::ChannelOptions options;
  options.own_connection = true;
  options.max_reconnect_backoff = absl::Milliseconds(300);
  return net::MakeChannel(address, grpc::InsecureChannelCredentials(), options);
}

absl::string_view WithoutPrefix(absl::string_view name, absl::string_view prefix) {
  return name.substr(std::min(prefix.size(), name.size()));
}

}  // namespace

void History::Add(const std::string& edge, int token, int64_t begin_us, int64_t end_us,
                  const ValidateResponse& answer) {
  switch (answer.verdict()) {
    case tollgate::v1::VERDICT_ADMIT:
      ++admits_;
      break;
    case tollgate::v1::VERDICT_DENY:
      ++denials_;
      break;
    default:
      ++unavailable_;
  }
  const std::string& verdict = tollgate::v1::Verdict_Name(answer.verdict());
  const std::string& reason = tollgate::v1::VerdictReason_Name(answer.reason());
  const absl::string_view short_verdict = WithoutPrefix(verdict, "VERDICT_");
  const absl::string_view short_reason = WithoutPrefix(reason, "VERDICT_REASON_");
  absl::MutexLock lock(&mu_);
  std::fprintf(file_, "[\"d\",\"%s\",%d,%lld,%lld,\"%.*s\",\"%.*s\"]\n", edge.c_str(), token,
               static_cast<long long>(begin_us), static_cast<long long>(end_us),
               static_cast<int>(short_verdict.size()), short_verdict.data(),
               static_cast<int>(short_reason.size()), short_reason.data());
}

void History::Flush() {
  absl::MutexLock lock(&mu_);
  std::fflush(file_);
}

nlohmann::json History::Counts() const {
  const int64_t admits = admits_, denials = denials_, unavailable = unavailable_;
  return {{"decisions", admits + denials + unavailable},
          {"admits", admits},
          {"denials", denials},
          {"unavailable", unavailable},
          {"errors", errors_.load()}};
}

void TokenChoice::Add(int number, std::string token_string) {
  absl::MutexLock lock(&mu_);
  place_[number] = tokens_.size();
  tokens_.push_back({number, std::move(token_string)});
}

void TokenChoice::Focus(int number) {
  absl::MutexLock lock(&mu_);
  auto place = place_.find(number);
  if (place == place_.end()) return;
  focus_.push_back(place->second);
  if (focus_.size() > 32) focus_.pop_front();
}

bool TokenChoice::Choose(uint64_t turn, Chosen* chosen) const {
  absl::MutexLock lock(&mu_);
  if (tokens_.empty()) return false;
  if (turn % 2 == 1 && !focus_.empty()) {
    *chosen = tokens_[focus_[focus_.size() - 1 - turn / 2 % focus_.size()]];
  } else {
    *chosen = tokens_[turn / 2 % tokens_.size()];
  }
  return true;
}

struct EdgeTraffic::Call {
  grpc::ClientContext context;
  ValidateRequest request;
  ValidateResponse response;
  int token = 0;
  int64_t begin_us = 0;
};

EdgeTraffic::EdgeTraffic(Options options, const TokenChoice* tokens, History* history)
    : options_(std::move(options)),
      tokens_(tokens),
      history_(history),
      stub_(tollgate::v1::ValidationService::NewStub(ChannelTo(options_.address))) {
  thread_ = std::thread([this] { Run(); });
}

EdgeTraffic::~EdgeTraffic() {
  stopped_ = true;
  thread_.join();
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(+[](int* in_flight) { return *in_flight == 0; }, &in_flight_));
}

void EdgeTraffic::Run() {
  const auto pace = std::chrono::nanoseconds(static_cast<int64_t>(1e9 / options_.per_second));
  auto next = std::chrono::steady_clock::now();
  for (uint64_t turn = 0; !stopped_; ++turn) {
    std::this_thread::sleep_until(next);
    const auto now = std::chrono::steady_clock::now();
    // After a pause of this process it goes on at its rate, and does not catch up.
    next = std::max(next + pace, now - std::chrono::milliseconds(50));
    Send(turn);
  }
}

void EdgeTraffic::Send(uint64_t turn) {
  TokenChoice::Chosen chosen;
  if (!tokens_->Choose(turn, &chosen)) return;
  {
    absl::MutexLock lock(&mu_);
    if (in_flight_ >= options_.most_in_flight) return;
    ++in_flight_;
  }
  auto* call = new Call;
  call->token = chosen.number;
  call->request.set_token_string(std::move(chosen.token_string));
  call->context.set_deadline(std::chrono::system_clock::now() +
                             absl::ToChronoMilliseconds(options_.deadline));
  call->begin_us = BootMicros();
  stub_->async()->Validate(
      &call->context, &call->request, &call->response, [this, call](const grpc::Status& status) {
        const int64_t end_us = BootMicros();
        if (status.ok()) {
          history_->Add(options_.edge, call->token, call->begin_us, end_us, call->response);
        } else {
          history_->AddError();
        }
        delete call;
        absl::MutexLock lock(&mu_);
        --in_flight_;
      });
}

}  // namespace tollgate::faults
