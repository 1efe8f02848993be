// A store of a million tokens (TOKENS=n for another number): look-ups by digest, as
// EdgeService.Resolve makes them, and durable creates with 64 under way. The floor of a look-up is
// the same on a store of 1,000 tokens, which lies in memory whole. KEEP=DIR, a folder that is not
// there yet, leaves DIR/store and its keyring for bench/start_time.py.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/secret.h"
#include "service/history/history.h"
#include "service/reads/resolve.h"
#include "service/tokens/create_token.h"
#include "storage/engines.h"
#include "storage/sequencer.h"
#include "storage/start_command.h"
#include "token/keyring.h"
#include "token/token_string.h"

namespace tollgate::bench {
namespace {

constexpr int64_t kSmall = 1'000;

int64_t LargeStore() {
  int64_t tokens = 1'000'000;
  if (const char* asked = std::getenv("TOKENS")) {
    if (!absl::SimpleAtoi(asked, &tokens) || tokens < 1) std::abort();
  }
  return tokens;
}

// A store of `tokens` tokens in 1,000 workspaces, opened anew after it was filled, as a service has
// it after a restart.
class FilledStore {
 public:
  // `keep`: a folder to make, and to leave; empty: one that goes with this object.
  FilledStore(int64_t tokens, const std::string& keep) : folder_(keep), kept_(!keep.empty()) {
    base::InitSecrets();
    if (!kept_) {
      folder_ =
          absl::StrCat(std::filesystem::temp_directory_path().string(), "/tollgate-bench.XXXXXX");
      if (mkdtemp(folder_.data()) == nullptr) std::abort();
    } else if (!std::filesystem::create_directories(folder_)) {
      std::abort();
    }
    keyring_ =
        token::Keyring::LoadOrCreate(folder_ + "/store.keyring", base::SystemRandom()).value();
    Open();
    for (int64_t i = 0; i < tokens; ++i) Submit(4096);
    AwaitNone();
    Close();
    Open();
  }
  ~FilledStore() {
    Close();
    if (!kept_) std::filesystem::remove_all(folder_);
  }

  // Begins a create once fewer than `window` are under way.
  void Submit(int64_t window) {
    const token::TokenFormat::Minted minted =
        token::TokenFormat().Mint(token::TokenKind::kWorkspace, base::SystemRandom());
    const token::EdgeDigest edge = token::EdgeDigest::Of(minted.token_string.RevealSecret());
    // Every tenth is enough to look for, and keeps the bench's own memory out of the way.
    if (++made_ % 10 == 0) digests_.push_back(std::string(edge.bytes()));
    tollgate::v1::CreateTokenRequest request;
    request.set_parent(absl::StrCat("workspaces/w", made_ % 1000));
    request.set_create_workspace(true);
    request.mutable_token()->set_label("bench");
    request.mutable_token()->add_scopes("deploy:write");
    std::shared_ptr<service::CreateTokenCommand> command =
        service::CreateTokenCommand::Make(
            request, "bench", {minted.public_id, keyring_->Digest(edge), keyring_->primary_id()})
            .value();
    {
      absl::MutexLock lock(&mu_);
      const auto room = [&] { return under_way_ < window; };
      mu_.Await(absl::Condition(&room));
      ++under_way_;
    }
    sequencer_->Submit(command, [this](absl::StatusOr<storage::Committed> done) {
      if (!done.ok()) std::abort();
      absl::MutexLock lock(&mu_);
      --under_way_;
    });
  }
  void AwaitNone() {
    absl::MutexLock lock(&mu_);
    const auto none = [&] { return under_way_ == 0; };
    mu_.Await(absl::Condition(&none));
  }
  void Resolve(int64_t number) {
    tollgate::v1::ResolveRequest request;
    request.set_validator_id("bench");
    request.set_edge_digest(digests_[static_cast<size_t>(number) % digests_.size()]);
    const auto snapshot = engine_->NewSnapshot().value();
    const auto answer = service::ResolveFrom(*snapshot, *keyring_, history_, request);
    if (!answer.ok() || !answer->has_grant()) std::abort();
  }

 private:
  void Open() {
    storage::EngineOpenOptions engine_options;
    engine_options.location = folder_ + "/store";
    engine_options.random = &base::SystemRandom();
    engine_options.clock = &base::SystemClock();
    engine_ = storage::Engines().default_driver().Open(engine_options).value();
    storage::Sequencer::Options options;
    options.engine = engine_.get();
    options.clock = &base::SystemClock();
    sequencer_ = storage::Sequencer::Start(options).value();
    history_ = service::ReadHistory(*engine_->NewSnapshot().value()).value();
  }
  void Close() {
    sequencer_->Stop();
    sequencer_.reset();
    engine_.reset();
  }

  std::string folder_;
  const bool kept_;
  absl::optional<token::Keyring> keyring_;
  std::unique_ptr<storage::Engine> engine_;
  std::unique_ptr<storage::Sequencer> sequencer_;
  service::History history_;
  std::vector<std::string> digests_;
  int64_t made_ = 0;
  absl::Mutex mu_;
  int64_t under_way_ = 0;
};

FilledStore& StoreOf(int64_t tokens) {
  if (tokens == kSmall) {
    static FilledStore small(kSmall, "");
    return small;
  }
  const char* const keep = std::getenv("KEEP");
  static FilledStore large(tokens, keep == nullptr ? "" : keep);
  return large;
}

void Resolves(benchmark::State& state) {
  FilledStore& store = StoreOf(state.range(0));
  int64_t number = 0;
  for (auto _ : state) store.Resolve(number += 7919);  // far apart
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(Resolves)->Arg(kSmall)->Arg(LargeStore())->UseRealTime();

void Creates(benchmark::State& state) {
  FilledStore& store = StoreOf(state.range(0));
  for (auto _ : state) store.Submit(64);
  store.AwaitNone();
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(Creates)->Arg(kSmall)->Arg(LargeStore())->UseRealTime();

}  // namespace
}  // namespace tollgate::bench

BENCHMARK_MAIN();
