// A live edge whose service the test plays, and a policy made by hand: what the tests of the fronts
// for proxies share.
#ifndef TOLLGATE_TESTS_UNIT_VALIDATOR_FRONTS_PLAYED_EDGE_H_
#define TOLLGATE_TESTS_UNIT_VALIDATOR_FRONTS_PLAYED_EDGE_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "base/secret.h"
#include "policy/policy.h"
#include "tests/unit/validator/core/edge_fixture.h"
#include "token/digest.h"
#include "validator/core/validator.h"
#include "validator/fronts/gate.h"

namespace tollgate::validator {

// Thread-safe.
class PlayedEdge {
 public:
  static constexpr int64_t kServiceSeconds = 2'000'000'000;

  // In sync, unless `live` is false: then it has no lease.
  explicit PlayedEdge(bool live = true) : random_(5) {
    base::InitSecrets();
    ValidatorOptions options;
    options.follower.validator_id = "edge-1";
    options.cache = {512, 8, 64};
    options.retry_after = absl::Milliseconds(1500);
    validator_ = Validator::Create(options, clock_, random_,
                                   [this](const tollgate::v1::ResolveRequest& request,
                                          auto answer) { Resolve(request, std::move(answer)); })
                     .value();
    stream_ = validator_->Start().stream;
    if (!live) return;
    validator_->StreamConnected(stream_);
    uint64_t sequence = 0;
    for (const auto& sent :
         validator_->StreamMessage(stream_, WelcomeMessage("e1", 10, true)).send) {
      if (sent.has_ping()) sequence = sent.ping().sequence();
    }
    validator_->StreamMessage(stream_, PongMessage(sequence, 10, 30, kServiceSeconds));
  }
  ~PlayedEdge() { AnswerAll(); }

  Validator* validator() { return validator_.get(); }
  SharedSeededRandom& random() { return random_; }
  int questions() const {
    absl::MutexLock lock(&mu_);
    return questions_;
  }

  // A token of workspace acme, owner team-a, scope deploy:write, but for what `change` does.
  std::string Mint(const std::function<void(tollgate::v1::Grant*)>& change = nullptr,
                   token::TokenKind kind = token::TokenKind::kWorkspace) {
    auto minted = token::TokenFormat().Mint(kind, random_);
    std::string token(minted.token_string.RevealSecret());
    tollgate::v1::Grant grant = GrantFor("acme", minted.public_id);
    if (change) change(&grant);
    absl::MutexLock lock(&mu_);
    grants_[std::string(token::EdgeDigest::Of(token).bytes())] = grant;
    return token;
  }
  // The event of its revocation, which the edge has then applied.
  void Revoke(const std::string& token) {
    int64_t revision = 0;
    {
      absl::MutexLock lock(&mu_);
      tollgate::v1::Grant& grant = grants_[std::string(token::EdgeDigest::Of(token).bytes())];
      grant.set_state(tollgate::v1::TOKEN_STATE_REVOKED);
      revision = ++revision_;
    }
    const std::string id = token.substr(token.size() - token::kBodyLength, token::kPublicIdLength);
    validator_->StreamMessage(stream_, EventsMessage(revision, {Changed("acme", id)}));
  }
  // From here on questions wait for AnswerAll.
  void Hold() {
    absl::MutexLock lock(&mu_);
    hold_ = true;
  }
  void AnswerAll() {
    std::vector<std::function<void()>> held;
    {
      absl::MutexLock lock(&mu_);
      hold_ = false;
      held.swap(held_);
    }
    for (const auto& answer : held) answer();
  }

 private:
  void Resolve(const tollgate::v1::ResolveRequest& request,
               std::function<void(absl::StatusOr<tollgate::v1::ResolveResponse>)> answer) {
    tollgate::v1::ResolveResponse response;
    response.set_epoch("e1");
    {
      absl::MutexLock lock(&mu_);
      ++questions_;
      response.set_revision(revision_);
      const auto found = grants_.find(request.edge_digest());
      if (found == grants_.end()) {
        response.set_unknown(true);
      } else {
        *response.mutable_grant() = found->second;
      }
      if (hold_) {
        held_.push_back([response, answer] { answer(response); });
        return;
      }
    }
    answer(response);
  }

  HandClock clock_;
  SharedSeededRandom random_;
  mutable absl::Mutex mu_;
  std::map<std::string, tollgate::v1::Grant> grants_ ABSL_GUARDED_BY(mu_);
  int64_t revision_ ABSL_GUARDED_BY(mu_) = 10;
  int questions_ ABSL_GUARDED_BY(mu_) = 0;
  bool hold_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::function<void()>> held_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Validator> validator_;
  uint64_t stream_ = 0;
};

// A policy that judges as the test says. By itself: a bearer token is needed, and nothing of it.
class PlayedPolicy : public policy::Policy {
 public:
  PlayedPolicy() {
    upstream_.workspace_header = "x-workspace";
    upstream_.token_header = "x-token";
    upstream_.owner_header = "x-owner";
    upstream_.scopes_header = "x-scopes";
    upstream_.expires_header = "x-expires";
    words_.realm = "acme";
    route_.name = "route 1";
    route_.line = 7;
  }

  policy::Judgement Judge(const policy::Request& request) const override {
    policy::Judgement judgement;
    judgement.kind = policy::Judgement::Kind::kGuarded;
    judgement.route = &route_;
    for (const auto& [name, value] : request.headers) {
      if (!absl::EqualsIgnoreCase(name, "authorization")) continue;
      judgement.credential = base::SecretBytes::CopyOf(absl::StripPrefix(value, "Bearer "));
      judgement.drop_headers.emplace_back("authorization");
    }
    if (judge_) judge_(request, &judgement);
    return judgement;
  }
  const policy::Upstream& upstream() const override { return upstream_; }
  const policy::Words& words() const override { return words_; }
  const std::vector<policy::Route>& routes() const override { return routes_; }
  const std::string& fingerprint() const override { return fingerprint_; }

  std::function<void(const policy::Request&, policy::Judgement*)> judge_;
  policy::Upstream upstream_;
  policy::Words words_;
  policy::Route route_;
  std::string fingerprint_ = "played";

 private:
  const std::vector<policy::Route> routes_;
};

class PlayedPolicySource : public PolicySource {
 public:
  std::shared_ptr<const policy::Policy> Current() const override { return policy; }
  std::shared_ptr<PlayedPolicy> policy = std::make_shared<PlayedPolicy>();
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_TESTS_UNIT_VALIDATOR_FRONTS_PLAYED_EDGE_H_
