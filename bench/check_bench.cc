// One decision from memory, against the floor: one SipHash of the token string, two clock readings
// and a look-up in a hash map, which is the least that any cache of decisions does.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/secret.h"
#include "sodium.h"
#include "validator/core/validator.h"

namespace tollgate::bench {
namespace {

constexpr int kTokens = 20'000;

// A validator in sync, with a long lease, that holds kTokens good tokens.
class Edge {
 public:
  static Edge& Get() {
    static Edge* edge = new Edge;
    return *edge;
  }
  validator::Validator& validator() { return *validator_; }
  const std::vector<std::string>& tokens() const { return tokens_; }

 private:
  Edge() {
    base::InitSecrets();
    validator::ValidatorOptions options;
    options.follower.validator_id = "bench";
    validator_ = validator::Validator::Create(
                     options, base::SystemClock(), base::SystemRandom(),
                     [this](const tollgate::v1::ResolveRequest&, auto answer) { answer(answer_); })
                     .value();
    const uint64_t stream = validator_->Start().stream;
    validator_->StreamConnected(stream);
    tollgate::v1::FollowResponse message;
    message.mutable_welcome()->set_epoch("e");
    message.mutable_welcome()->set_revision(1);
    message.mutable_welcome()->set_reset(true);
    message.mutable_welcome()->mutable_ping_interval()->set_seconds(500);
    uint64_t sequence = 0;
    for (const auto& sent : validator_->StreamMessage(stream, message).send) {
      if (sent.has_ping()) sequence = sent.ping().sequence();
    }
    message.Clear();
    message.mutable_pong()->set_sequence(sequence);
    message.mutable_pong()->set_revision(1);
    message.mutable_pong()->mutable_lease()->set_seconds(599);
    message.mutable_pong()->mutable_service_time()->set_seconds(1'800'000'000);
    validator_->StreamMessage(stream, message);
    for (int i = 0; i < kTokens; ++i) {
      const token::TokenFormat::Minted minted =
          token::TokenFormat().Mint(token::TokenKind::kWorkspace, base::SystemRandom());
      tokens_.emplace_back(minted.token_string.RevealSecret());
      answer_.Clear();
      answer_.set_epoch("e");
      answer_.set_revision(1);
      tollgate::v1::Grant& grant = *answer_.mutable_grant();
      grant.set_workspace("acme");
      grant.set_token_id(minted.public_id);
      grant.set_token("workspaces/acme/tokens/" + minted.public_id);
      grant.set_owner("team-a");
      grant.set_state(tollgate::v1::TOKEN_STATE_ACTIVE);
      grant.add_scopes("items:read");
      grant.add_scopes("deploy:write");
      grant.set_create_revision(1);
      validator_->CheckAsync(tokens_.back(), token::Requirement(),
                             [](const validator::Decision&) {});
    }
    // A few sets were given more than they hold.
    std::erase_if(tokens_, [this](const std::string& token) {
      validator::Decision decision;
      return !validator_->Check(token, token::Requirement(), &decision);
    });
  }

  std::unique_ptr<validator::Validator> validator_;
  tollgate::v1::ResolveResponse answer_;
  std::vector<std::string> tokens_;
};

void Check(benchmark::State& state) {
  Edge& edge = Edge::Get();
  token::Requirement requirement;
  requirement.any_scopes = {"deploy:write"};
  const size_t held = edge.tokens().size();
  size_t i = 7919 * state.thread_index();
  int64_t admitted = 0;
  for (auto _ : state) {
    validator::Decision decision;
    if (edge.validator().Check(edge.tokens()[i++ % held], requirement, &decision))
      admitted += decision.admitted();
  }
  // A benchmark of misses or refusals would flatter.
  if (admitted < state.iterations() * 99 / 100)
    state.SkipWithError("fewer than 99% were admitted from memory");
}
BENCHMARK(Check)->Threads(1)->Threads(2)->UseRealTime();

// All threads ask about one token: they share the line that counts its uses.
void CheckOneToken(benchmark::State& state) {
  Edge& edge = Edge::Get();
  token::Requirement requirement;
  requirement.any_scopes = {"deploy:write"};
  for (auto _ : state) {
    validator::Decision decision;
    benchmark::DoNotOptimize(edge.validator().Check(edge.tokens()[0], requirement, &decision));
  }
}
BENCHMARK(CheckOneToken)->Threads(1)->Threads(2)->UseRealTime();

// What a flood of strings costs that have a token's length and a wrong checksum.
void CheckMalformed(benchmark::State& state) {
  Edge& edge = Edge::Get();
  std::string malformed = edge.tokens()[0];
  malformed.back() = malformed.back() == 'a' ? 'b' : 'a';
  int64_t denied = 0;
  for (auto _ : state) {
    validator::Decision decision;
    if (edge.validator().Check(malformed, token::Requirement(), &decision)) {
      denied += decision.reason == tollgate::v1::VERDICT_REASON_MALFORMED;
    }
  }
  if (denied != state.iterations()) state.SkipWithError("not all were denied as malformed");
}
BENCHMARK(CheckMalformed)->UseRealTime();

void Floor(benchmark::State& state) {
  Edge& edge = Edge::Get();
  static const auto* const map = [] {
    auto* map = new absl::flat_hash_map<std::string, int>;
    uint8_t key[crypto_shorthash_siphashx24_KEYBYTES] = {1};
    for (const std::string& token : Edge::Get().tokens()) {
      std::string hash(16, 0);
      crypto_shorthash_siphashx24(reinterpret_cast<uint8_t*>(hash.data()),
                                  reinterpret_cast<const uint8_t*>(token.data()), token.size(),
                                  key);
      (*map)[hash] = 1;
    }
    return map;
  }();
  const uint8_t key[crypto_shorthash_siphashx24_KEYBYTES] = {1};
  const size_t held = edge.tokens().size();
  size_t i = 7919 * state.thread_index();
  for (auto _ : state) {
    const std::string& token = edge.tokens()[i++ % held];
    char hash[16];
    benchmark::DoNotOptimize(base::SystemClock().Now());
    benchmark::DoNotOptimize(base::SystemClock().WallNow());
    crypto_shorthash_siphashx24(reinterpret_cast<uint8_t*>(hash),
                                reinterpret_cast<const uint8_t*>(token.data()), token.size(), key);
    benchmark::DoNotOptimize(map->find(absl::string_view(hash, 16)));
  }
}
BENCHMARK(Floor)->Threads(1)->Threads(2)->UseRealTime();

}  // namespace
}  // namespace tollgate::bench

BENCHMARK_MAIN();
