// What 100,000 holds cost at one edge: memory a hold, and the time of the event that ends one of
// them, and of what ends all (docs/performance.md). The service answers at once, in this process.
#include <malloc.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/secret.h"
#include "tests/unit/validator/core/edge_fixture.h"
#include "token/digest.h"
#include "validator/core/holds.h"
#include "validator/core/validator.h"

namespace tollgate::bench {
namespace {

using validator::Holds;
using validator::Validator;

constexpr int kHolds = 100'000;

double MicrosOf(const std::function<void()>& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
      .count();
}

class Edge {
 public:
  explicit Edge(int tokens) : random_(7) {
    validator::ValidatorOptions options;
    options.follower.validator_id = "edge-1";
    options.cache = {2 * kHolds, 8, 64};
    options.holds.most = 2 * kHolds;
    validator_ =
        Validator::Create(options, clock_, random_,
                          [this](const tollgate::v1::ResolveRequest& request, auto answer) {
                            tollgate::v1::ResolveResponse response;
                            response.set_epoch("e1");
                            response.set_revision(revision_);
                            *response.mutable_grant() = grants_.at(request.edge_digest());
                            answer(response);
                          })
            .value();
    stream_ = validator_->Start().stream;
    validator_->StreamConnected(stream_);
    uint64_t sequence = 0;
    for (const auto& sent :
         validator_->StreamMessage(stream_, validator::WelcomeMessage("e1", 10, true)).send) {
      if (sent.has_ping()) sequence = sent.ping().sequence();
    }
    validator_->StreamMessage(stream_, validator::PongMessage(sequence, 10, 30));
    holder_ = validator_->holds().Join([] {}).value();
    for (int i = 0; i < tokens; ++i) {
      const auto minted = token::TokenFormat().Mint(token::TokenKind::kWorkspace, random_);
      tokens_.emplace_back(minted.token_string.RevealSecret());
      grants_[std::string(token::EdgeDigest::Of(tokens_.back()).bytes())] =
          validator::GrantFor("acme", minted.public_id);
    }
  }

  // Opens all, reads what is told, and returns the bytes that a hold takes.
  double OpenAll() {
    const auto requirement = std::make_shared<const token::Requirement>();
    const size_t before = mallinfo2().uordblks;
    for (int i = 0; i < kHolds; ++i) {
      (void)validator_->OpenHold(
          holder_, static_cast<uint64_t>(i) + 1, tokens_[static_cast<size_t>(i) % tokens_.size()],
          requirement, [](const validator::Decision& d, tollgate::v1::ValidateResponse* words) {
            words->set_verdict(d.verdict);
          });
      Read();
    }
    return static_cast<double>(mallinfo2().uordblks - before) / kHolds;
  }
  // The number of messages that waited.
  int Read() {
    int read = 0;
    tollgate::v1::HoldResponse message;
    while (validator_->holds().NextMessage(holder_, &message) == Holds::Next::kMessage) {
      message.Clear();
      ++read;
    }
    return read;
  }
  // Revokes a token, down to the messages of its holds.
  int Revoke(size_t token) {
    tollgate::v1::Grant& grant =
        grants_.at(std::string(token::EdgeDigest::Of(tokens_[token]).bytes()));
    grant.set_state(tollgate::v1::TOKEN_STATE_REVOKED);
    Apply(validator::Changed("acme", grant.token_id()));
    return Read();
  }
  int RevokeAll() {
    for (auto& [digest, grant] : grants_) grant.set_state(tollgate::v1::TOKEN_STATE_REVOKED);
    Apply(validator::Cohort("acme", "team-a"));
    return Read();
  }
  int LoseLease() {
    clock_.Advance(absl::Seconds(31));
    validator_->Settle();
    return Read();
  }

 private:
  void Apply(const tollgate::v1::Event& event) {
    validator_->StreamMessage(stream_, validator::EventsMessage(++revision_, {event}));
    validator_->Settle();
  }

  validator::HandClock clock_;
  validator::SharedSeededRandom random_;
  int64_t revision_ = 10;
  std::map<std::string, tollgate::v1::Grant> grants_;
  std::vector<std::string> tokens_;
  std::unique_ptr<Validator> validator_;
  Holds::HolderRef holder_;
  uint64_t stream_ = 0;
};

void Main() {
  base::InitSecrets();
  {
    Edge edge(kHolds);
    std::printf("%d holds, each of a token of its own: %.0f bytes a hold\n", kHolds,
                edge.OpenAll());
    double sum = 0;
    for (size_t i = 0; i < 1000; ++i) sum += MicrosOf([&] { edge.Revoke(i); });
    std::printf("  the revocation of one token: %.1f us, its question and message included\n",
                sum / 1000);
    int told = 0;
    const double all = MicrosOf([&] { told = edge.RevokeAll(); });
    std::printf("  a cohort of all: %.0f ms for %d questions and messages\n", all / 1000, told);
  }
  {
    Edge edge(kHolds);
    edge.OpenAll();
    int told = 0;
    const double all = MicrosOf([&] { told = edge.LoseLease(); });
    std::printf("  the lease is lost: %.0f ms for %d messages\n", all / 1000, told);
  }
  {
    Edge edge(1);
    std::printf("%d holds of one token: %.0f bytes a hold\n", kHolds, edge.OpenAll());
    int told = 0;
    const double all = MicrosOf([&] { told = edge.Revoke(0); });
    std::printf("  its revocation: %.0f ms for %d messages\n", all / 1000, told);
  }
}

}  // namespace
}  // namespace tollgate::bench

int main() { tollgate::bench::Main(); }
